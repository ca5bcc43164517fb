"""Ramp-ups and learning-rate schedules: pure functions of the step, so that they resume and plot as they are."""

from __future__ import annotations

import math
from typing import Literal

Ramp = Literal["gaussian", "cosine"]


def ramp_up(step: int, length: int, *, kind: Ramp = "gaussian") -> float:
    """Returns the share of its final weight that the unsupervised loss has at a step.

    Args:
        step: Steps since the end of the warm-up, from 0.
        length: Steps after which the share is 1; 0 means no ramp.
        kind: `gaussian` is exp(-5 (1 - t)^2) of the supplement; `cosine` is (1 - cos(pi t)) / 2 of the published
            code, with t = step / length.

    Returns:
        The share, from exp(-5) or 0 at the start to 1.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement
    section 2 and Fig. 3(a).
    """
    if step >= length:
        return 1.0
    t = step / length
    return math.exp(-5 * (1 - t) ** 2) if kind == "gaussian" else (1 - math.cos(math.pi * t)) / 2


def poly(step: int, total: int, *, power: float = 0.9) -> float:
    """Returns the factor (1 - step/total)^power of the learning rate; 0 from the last step on."""
    return max(0.0, 1 - step / total) ** power
