"""Experiment trackers: what a run tells while it trains, TensorBoard, and the hook for other trackers.

A tracker of one's own is a class in a module that can be imported, or that lies in the working directory, named on the
command line as `--tracker my_module:MyTracker`. It is called with the run folder and has the methods of `Tracker`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from psmt_viz.data.palettes import voc_palette
from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.plugins import load_object
from psmt_viz.results import TrainingBatch
from psmt_viz.runs import TENSORBOARD


class Tracker(Protocol):
    """Takes a run's numbers and pictures, in the main process; a step is the number of steps taken so far."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Takes finite numbers by name.

        Args:
            step: Steps taken.
            values: Every `log_every` steps the losses, rates and shares of that step; after an epoch its row of
                metrics.csv.
        """
        ...

    def images(self, step: int, batch: TrainingBatch) -> None:
        """Takes some images of a batch as the networks see them, after an epoch."""
        ...

    def close(self) -> None:
        """Writes what is left; called once, also after an error or a request to stop."""
        ...


METHODS = ("scalars", "images", "close")
"""What makes an object a tracker."""


class TensorBoard:
    """Writes TensorBoard events to the folder `tensorboard` of a run.

    Args:
        folder: The run folder.
        purge_step: The step from which the run is resumed; what was written after it before is no longer shown.

    Raises:
        UserError: if TensorBoard is not installed.
    """

    def __init__(self, folder: Path, *, purge_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            fix = "pip install psmt-viz[tracking], or leave --tensorboard out"
            raise UserError("TensorBoard for --tensorboard", str(error), fix) from None
        # The writer's own purge begins with the step that it is given.
        self._writer = SummaryWriter(folder / TENSORBOARD, purge_step=purge_step + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes each number under its name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        # A killed run is resumed after its checkpoint and tells nothing twice, so what came before must be on disk.
        self._writer.flush()

    def images(self, step: int, batch: TrainingBatch) -> None:
        """Writes one grid of images a column, under `batch/` and its title.

        Class ids are in VOC's colours, ids of none in the palette's cream; confidence is grey from 0 (black) to 1
        (white), and cream where there is none.
        """
        pictures = {title: _colored(values) for title, values in batch.columns.items()}
        if batch.confidence is not None:
            pictures["confidence"] = _grey(batch.confidence)
        for title, values in pictures.items():
            self._writer.add_images(f"batch/{title}", values, step, dataformats="NHWC")
        self._writer.flush()

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self._writer.close()


def open_trackers(tensorboard: bool, names: Sequence[str], folder: Path, purge_step: int) -> list[Tracker]:
    """Opens the trackers of a run.

    Args:
        tensorboard: Whether to write TensorBoard events.
        names: The user's own trackers, each `module:Class`; the working directory is searched after everything else.
        folder: The run folder, with which each class is called.
        purge_step: The step from which the run is resumed.

    Raises:
        UserError: if a name cannot be found, or names no tracker.
    """
    makers = {name: _find(name) for name in names}
    opened: list[Tracker] = []
    try:
        if tensorboard:
            opened.append(TensorBoard(folder, purge_step=purge_step))
        for name, make in makers.items():
            tracker = make(folder)
            if missing := [each for each in METHODS if not callable(getattr(tracker, each, None))]:
                fix = f"define {', '.join(missing)} (see psmt_viz.train.tracking.Tracker)"
                raise UserError(f"--tracker {name} with {', '.join(METHODS)}", f"none of {', '.join(missing)}", fix)
            opened.append(tracker)
    except BaseException:
        for tracker in opened:
            tracker.close()
        raise
    return opened


def _find(name: str) -> Callable[[Path], Tracker]:
    make = load_object(name, flag="--tracker", example="my_module:MyTracker", kind="Class")
    try:
        inspect.signature(make).bind(Path())
    except (TypeError, ValueError) as error:
        fix = f"make it callable as {name.partition(':')[2]}(folder)"
        raise UserError(f"--tracker {name} to take the run folder", str(error), fix) from None
    return make


def _colored(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Maps class ids (N, H, W) to colours (N, H, W, 3); leaves images as they are."""
    return values if values.ndim == 4 else voc_palette()[values]


def _grey(confidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Maps probabilities (N, H, W), NaN where there is none, to grey (N, H, W, 3)."""
    known = np.isfinite(confidence)
    shade = np.where(known, confidence * 255, 0).round().astype(np.uint8)
    return np.where(known[..., None], shade[..., None], voc_palette()[IGNORE])
