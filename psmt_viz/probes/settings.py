"""What the probes of figures are asked for, as groups of settings; they need no torch, so that flags can be made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psmt_viz.errors import UserError
from psmt_viz.kinds import PAPER_EPS, SWEEP
from psmt_viz.settings import Group, names_of

LEAST_PIXELS = 3
"""Pixels of which a map can be made."""
Layer = Literal["z", "decoder", "logits"]
Layout = Literal["frozen", "joint", "separate"]
Neighbors = Literal["auto", "exact", "approx"]


@dataclass(frozen=True, kw_only=True)
class TsneSettings(Group):
    """A t-SNE map of correctly predicted pixels before and after perturbations."""

    n_pixels: int = 25_000
    """Pixels on the map, the same number of each class as nearly as can be."""
    classes: tuple[str, ...] = ()
    """Classes to show; default: the five with the most correct pixels. Those too rare for an equal share are left
    out."""
    eps: float = PAPER_EPS
    """Norm of the perturbations, over all features of an image."""
    panels: tuple[str, ...] = ()
    """Kinds of perturbation, one panel each beside the original; any of those of perturb. Default: vat, and tvat or,
    without teachers, random."""
    layer: Layer = "z"
    """Layer of the student whose features are shown."""
    layout: Layout = "frozen"
    """frozen: place perturbed pixels on the map of the original ones; joint: fit one map to all panels; separate: one
    map per panel."""
    margin: float = 0.0
    """Exclude pixels closer than this to another class, in pixels."""
    perplexity: float = 30.0
    """Effective number of neighbours of t-SNE; lowered where there are too few pixels."""
    neighbors: Neighbors = "auto"
    """How nearest neighbours are found: exact compares all pairs of pixels, approx searches a graph of them; auto is
    exact up to 50,000 pixels."""
    seed: int = 0
    """Determines everything random."""
    batch: int = 1
    """Images of one size to process at once, for a GPU; it only affects rounding."""
    jobs: int = 1
    """Threads of openTSNE; -1: all cores."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.n_pixels >= LEAST_PIXELS, "n_pixels", f"of {LEAST_PIXELS} or more")
        known = math.isfinite(self.perplexity) and self.perplexity >= 1
        self._require(known, "perplexity", "of 1 or more (30 is usual)")
        self._require(self.jobs != 0, "jobs", "of 1 or more, or -1 for all cores")
        self._require(self.margin >= 0, "margin", "of 0 pixels or more")
        self._require(self.batch >= 1, "batch", "of 1 image or more")


@dataclass(frozen=True, kw_only=True)
class GradcamSettings(Group):
    """Class activation maps before and after perturbations."""

    images: int = 4
    """Number of images."""
    target_class: str | None = None
    """Class to explain; default: the largest in each image."""
    method: str = "gradcam"
    """gradcam, gradcam++, layercam, hirescam, eigencam ...; an unknown name lists all."""
    layer: str = "z"
    """Layer to explain: z, decoder, logits, or the dotted name of any module of the student."""
    eps: float = PAPER_EPS
    """Norm of the perturbations, over all features of an image."""
    panels: tuple[str, ...] = ()
    """Kinds of perturbation, one map each beside the original; any of those of perturb. Default: vat, and tvat or,
    without teachers, random."""
    seed: int = 0
    """Determines everything random."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.images >= 1, "images", "of at least 1")


@dataclass(frozen=True, kw_only=True)
class FiguresSettings(Group):
    """All figures and tables of one run."""

    n_pixels: int = TsneSettings.n_pixels
    """Pixels on the t-SNE map, the same number of each class as nearly as can be."""
    images: int = GradcamSettings.images
    """Number of images with class activation maps."""
    eps: float = PAPER_EPS
    """Norm of the perturbations of the map and of the class activation maps, over all features of an image."""
    sweep: tuple[float, ...] = SWEEP
    """Norms of the perturbations whose flips are measured, each separately."""
    seed: int = 0
    """Determines everything random."""
    jobs: int = 1
    """Threads of openTSNE; -1: all cores."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for eps in (self.eps, *self.sweep):
            if not (math.isfinite(eps) and eps > 0):
                raise UserError("eps above 0 and finite", f"{eps}", "choose another --eps or --sweep")


def asked(settings: Group, *, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """Returns settings as a result keeps them, ready for JSON.

    Args:
        settings: The settings.
        leave_out: Those that change no number but by rounding.
    """
    values = {name: getattr(settings, name) for name in names_of(settings) if name not in leave_out}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
