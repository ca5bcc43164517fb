"""Checkpoints of other codebases: recognised, read without running code, and turned into runs."""

from psmt_viz.checkpoints.checkpoint import Checkpoint
from psmt_viz.checkpoints.importing import import_checkpoint
from psmt_viz.checkpoints.reading import read_checkpoint

__all__ = ["Checkpoint", "import_checkpoint", "read_checkpoint"]
