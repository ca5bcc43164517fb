"""What a run shows of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What a run measured after each epoch."""

    name: str
    """The run's name."""
    metrics: pd.DataFrame
    """metrics.csv: epoch, step, learning_rate, unsup_weight, loss_sup, loss_unsup, confident_fraction, miou_<role>,
    pixel_accuracy_ensemble. A column is empty where the run has no teachers."""
    ramp: dict[str, Any]
    """kind, length (steps), final_weight and total_steps of the unsupervised weight; empty for supervised runs."""


@dataclass(frozen=True, kw_only=True)
class TrainingBatch:
    """One step's images and labels, as the networks saw them."""

    classes: tuple[str, ...]
    columns: Mapping[str, NDArray[np.uint8]]
    """Title -> (N, H, W, 3) images or (N, H, W) class ids (255 = none), in the order in which they are drawn."""
    confidence: NDArray[np.float32] | None = None
    """(N, H, W) highest softmax probability of the ensemble, where there is one."""
