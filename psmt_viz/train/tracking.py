"""Experiment trackers: TensorBoard, and any other through one small class.

A tracker is a class that is made with the run folder and has the methods of `Tracker`; `psmt-viz train --tracker
my_module:MyTracker` imports and uses it. Only the first of several processes has trackers.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.voc import voc_palette
from psmt_viz.errors import UserError
from psmt_viz.results import TrainingBatch


class Tracker(Protocol):
    """What a tracker must be able to do."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Takes numbers by name, after a step (losses, rates) or an epoch (also the row of metrics.csv)."""
        ...

    def images(self, step: int, batch: TrainingBatch) -> None:
        """Takes a batch as the networks saw it, after an epoch."""
        ...

    def close(self) -> None:
        """Ends the record; called however training ends."""
        ...


class TensorBoard:
    """Writes TensorBoard events to RUN/tensorboard.

    Args:
        folder: The run folder.
        purge_step: The step that training goes on from; what a stopped run wrote after it is hidden.

    Raises:
        UserError: if TensorBoard is not installed.
    """

    def __init__(self, folder: Path, *, purge_step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            fix = "pip install psmt-viz[tracking], or leave out --tensorboard"
            raise UserError("TensorBoard for --tensorboard", "not installed", fix) from None
        # An event at the step itself belongs to what was kept.
        self._writer: Any = SummaryWriter(
            str(folder / "tensorboard"), purge_step=purge_step + 1 if purge_step else None
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes each number under its name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def images(self, step: int, batch: TrainingBatch) -> None:
        """Writes each column of the batch as one picture, its images beside each other."""
        for title, values in batch.columns.items():
            colours = values if values.ndim == 4 else voc_palette()[values]
            self._writer.add_image(title, _beside(colours), step, dataformats="HWC")
        if batch.confidence is not None:
            grey = (np.nan_to_num(batch.confidence) * 255).round().astype(np.uint8)
            self._writer.add_image(
                "confidence", _beside(np.repeat(grey[..., None], 3, axis=-1)), step, dataformats="HWC"
            )

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


def open_trackers(tensorboard: bool, names: Sequence[str], folder: Path, purge_step: int) -> list[Tracker]:
    """Returns the trackers of a run.

    Args:
        tensorboard: Whether TensorBoard is one of them.
        names: Others, each `module:Class`; the class is made with the run folder.
        folder: The run folder.
        purge_step: The step that training goes on from.

    Raises:
        UserError: if a name is malformed, leads nowhere, or to something that is no tracker.
    """
    trackers: list[Tracker] = [TensorBoard(folder, purge_step=purge_step)] if tensorboard else []
    return trackers + [_imported(name)(folder) for name in names]


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UserError("--tracker as module:Class", repr(name), "name the module and the class in it")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"--tracker {name} to be importable", str(error), "check its spelling and PYTHONPATH") from None
    if missing := [each for each in ("scalars", "images", "close") if not callable(getattr(found, each, None))]:
        fix = "see psmt_viz.train.tracking.Tracker"
        raise UserError(f"--tracker {name} with scalars, images and close", f"no {', '.join(missing)}", fix)
    return found


def _beside(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate(list(images), axis=1)
