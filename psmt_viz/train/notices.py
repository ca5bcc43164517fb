"""Warnings that name what will spoil, or has spoilt, a run without stopping it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from psmt_viz.config import Config
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.progress import progress
from psmt_viz.train.loaders import cores

_WAITING, _LONG = 0.1, 10.0
"""Share of an epoch, and seconds of it, from which waiting for images is worth a word."""


def warn_before(config: Config, data: SegmentationData, split: Split) -> None:
    """Warns of settings and labels from which a run cannot learn what it should; reads every labelled mask once."""
    method = config.method
    if method.unsupervised is not None and method.unsupervised.final == 0:
        warnings.warn("the unsupervised loss has weight 0, so the unlabelled images teach nothing", stacklevel=2)
    if method.batch_labeled > len(split.labeled):
        words = f"--batch-labeled {method.batch_labeled} is more than the {len(split.labeled)} labelled images"
        warnings.warn(f"{words}, so a step sees some of them twice, in different views", stacklevel=2)
    counts = np.zeros(256, np.int64)
    with progress("count labels", len(split.labeled)) as advance:
        for id in split.labeled:
            counts += np.bincount(data.label(id).ravel(), minlength=256)
            advance("")
    if missing := [name for index, name in enumerate(data.classes) if counts[index] == 0]:
        words = f"no labelled pixel of {', '.join(missing)} in split {config.data.split}"
        warnings.warn(f"{words}, so it cannot be learnt; choose a larger --split", stacklevel=2)


def warn_of_epoch(row: dict[str, Any], config: Config) -> None:
    """Warns of pseudo-labels from which an epoch could not learn.

    Args:
        row: The epoch's row of metrics.csv.
        config: The run's settings.
    """
    # A comparison with NaN, which a warm-up has here, is false.
    if row.get("confident_fraction") == 0:
        words = f"epoch {row['epoch']}: no pixel's pseudo-label reaches --confidence {config.flat()['confidence']:g}"
        warnings.warn(f"{words}, so the unlabelled images teach nothing; lower it or warm up for longer", stacklevel=2)
    if row.get("teacher_disagreement") == 0:
        words = f"epoch {row['epoch']}: the two teachers agree on every pixel"
        warnings.warn(f"{words}, so they teach as one; warm up for longer, or start them apart", stacklevel=2)


def warn_of_waiting(timing: Mapping[str, float], workers: int) -> bool:
    """Warns of an epoch in which steps waited for images; returns whether it did.

    Args:
        timing: The epoch's row of timing.csv.
        workers: Processes that load images.
    """
    share, seconds = timing["data_wait"], timing["data_wait"] * timing["seconds"]
    if not (share > _WAITING and seconds > _LONG):
        return False
    words = f"epoch {timing['epoch']}: {share:.0%} of the time went into waiting for images"
    fix = f"give more --workers than {workers} ({cores()} cores are at hand), or --cache on"
    warnings.warn(f"{words}; {fix}", stacklevel=2)
    return True
