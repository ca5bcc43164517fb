"""Segmentation scores from one confusion matrix over the whole data set."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

IGNORE = 255
"""The label of pixels that belong to no class; they count nowhere."""


def iou(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the intersection over union of each class.

    Args:
        confusion: (K, K) pixel counts, rows = truth, columns = prediction.

    Returns:
        (K,) values in [0, 1]; NaN for a class that is neither in the truth nor predicted.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hit = np.diag(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - hit
    return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)


def mean_iou(confusion: NDArray[Any], *, absent: Literal["skip", "zero"] = "skip") -> float:
    """Returns the mean over classes of the data-set-level IoU.

    Args:
        confusion: (K, K) pixel counts, rows = truth, columns = prediction.
        absent: What a class counts that is neither in the truth nor predicted: left out of the mean (`skip`), or 0
            (`zero`, as the authors' code does).
    """
    values = iou(confusion)
    if absent == "zero":
        return float(np.nan_to_num(values, nan=0.0).mean())
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def pixel_accuracy(confusion: NDArray[Any]) -> float:
    """Returns the share of labelled pixels that are predicted correctly; NaN if there are none."""
    counts = np.asarray(confusion, dtype=np.float64)
    total = counts.sum()
    return float(np.trace(counts) / total) if total else float("nan")
