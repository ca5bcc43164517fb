"""What a run shows of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.results.result import Result
from psmt_viz.results.tables import read_csv, write_csv


@dataclass(frozen=True, kw_only=True)
class Curves:
    """What a run measured after each epoch."""

    name: str
    """The run's name, or that of the experiment of which it is one of several seeds."""
    metrics: pd.DataFrame
    """metrics.csv: epoch, step, learning_rate, unsup_weight, loss_sup, loss_unsup, confident_fraction, miou_<role>,
    pixel_accuracy_ensemble, teacher_disagreement, teacher_distance. What a run without teachers or a warm-up cannot
    measure is empty; older runs lack the last columns."""
    ramp: dict[str, Any]
    """kind, length (steps), final_weight and total_steps of the unsupervised weight; empty for supervised runs."""
    images_per_step: int = 0
    """Labelled and unlabelled images of a step; 0 where it is not known."""


@dataclass(frozen=True, kw_only=True)
class Training(Result):
    """What one or several runs measured after each epoch."""

    runs: tuple[Curves, ...]
    """Runs of one name are one experiment under several seeds."""

    NAME: ClassVar = "curves"
    COMMAND: ClassVar = "curves"
    TITLE: ClassVar = "training curves"
    FACTS: ClassVar = "curves.json"

    @property
    def ramped(self) -> Curves | None:
        """The first run that has a ramp-up, which is the one that is drawn."""
        return next((run for run in self.runs if run.ramp), None)

    def provenance(self) -> dict[str, Any]:
        """Returns the runs' names, whose ramp-up is drawn, and the four parts of the facts."""
        ramp = {"run": self.ramped.name, **self.ramped.ramp} if self.ramped else {}
        return {"runs": [run.name for run in self.runs], **ramp, **super().provenance()}

    def save(self, folder: Path) -> list[Path]:
        """Writes curves.csv, the runs' metrics one below the other, and curves.json.

        Raises:
            UserError: if there are no runs.
        """
        if not self.runs:
            raise UserError("measurements of at least one run", "none", "give a run that was trained here")
        path = folder / "curves.csv"
        tables = [run.metrics.assign(number=number, run=run.name) for number, run in enumerate(self.runs)]
        write_csv(path, pd.concat(tables, ignore_index=True))
        runs = [{"run": run.name, "ramp": run.ramp, "images_per_step": run.images_per_step} for run in self.runs]
        return [path, self._write_facts(folder, runs=runs)]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; a run has every column that one of them has."""
        with cls._reading(folder) as (facts, parts):
            table = read_csv(folder / "curves.csv")
            runs = [
                Curves(
                    name=run["run"],
                    metrics=table[table["number"] == number].drop(columns=["number", "run"]).reset_index(drop=True),
                    ramp=run["ramp"],
                    images_per_step=run["images_per_step"],
                )
                for number, run in enumerate(facts["runs"])
            ]
            return cls(runs=tuple(runs), **parts)


@dataclass(frozen=True, kw_only=True)
class TrainingBatch:
    """One step's images and labels, as the networks saw them."""

    classes: tuple[str, ...]
    columns: Mapping[str, NDArray[np.uint8]]
    """Title -> (N, H, W, 3) images or (N, H, W) class ids (255 = none), in the order in which they are drawn."""
    confidence: NDArray[np.float32] | None = None
    """(N, H, W) highest softmax probability of the ensemble, where there is one."""
