"""The probes with their settings written out."""

from typing import Any

from psmt_viz.models.networks import Networks
from psmt_viz.probes.gradcam import gradcam
from psmt_viz.probes.pixels import PixelSample, sample_pixels
from psmt_viz.probes.settings import GradcamSettings, TsneSettings
from psmt_viz.results import Cams


def mapped(networks: Networks, data: Any, subject: dict[str, str] | None = None, **settings: Any) -> Cams:
    return gradcam(networks, data, GradcamSettings(**settings), subject=subject)


def sampled(networks: Networks, data: Any, *, pixels: int, **settings: Any) -> PixelSample:
    return sample_pixels(networks, data, TsneSettings(n_pixels=pixels, **settings))
