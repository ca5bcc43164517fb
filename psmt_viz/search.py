"""How a perturbation is searched, as a group of settings; it needs no torch, so that flags can be made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psmt_viz.settings import Group

Norm = Literal["image", "pixel"]
Search = Literal["finite-difference", "central-difference", "exact"]
Objective = Literal["kl", "cross-entropy"]


@dataclass(frozen=True, kw_only=True)
class SearchSettings(Group):
    """How perturbations are found, the same for all kinds that search."""

    search: Search = "finite-difference"
    """How the direction of a perturbation is found; the published search (tvat-official) is a finite difference
    always."""
    iterations: int = 1
    """Power iterations of a search."""
    norm: Norm = "image"
    """Norm that eps sets: over an image (as in the paper), or of the feature vector at each position."""
    objective: Objective = "kl"
    """What a search maximises: the change of the prediction (as in the paper), or the loss for the label."""
    ascent_steps: int = 10
    """Gradient steps of pgd."""
    official_batch: int = 8
    """Images per call of the published search (tvat-official), whose floor grows with them; 8 on each GPU in its
    training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("iterations", "ascent_steps", "official_batch"):
            self._require(getattr(self, name) >= 1, name, "of at least 1")
