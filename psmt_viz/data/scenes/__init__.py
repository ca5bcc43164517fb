"""The built-in synthetic data set: scenes of shapes, drawn on demand without files or downloads."""

from psmt_viz.data.scenes.dataset import Scenes

__all__ = ["Scenes"]
