"""What a run shows of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.files import read_json, write_json
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
class Training:
    """What one or several runs measured after each epoch."""

    runs: tuple[Curves, ...]
    """Runs of one name are one experiment under several seeds."""
    parameters: dict[str, Any] = field(default_factory=dict)

    FACTS: ClassVar = "curves.json"
    """The file whose presence says that a folder holds this result."""

    def save(self, folder: Path) -> list[Path]:
        """Writes curves.csv, the runs' metrics one below the other, and curves.json.

        Raises:
            UserError: if there are no runs.
        """
        if not self.runs:
            raise UserError("measurements of at least one run", "none", "give a run that was trained here")
        paths = [folder / "curves.csv", folder / self.FACTS]
        tables = [run.metrics.assign(number=number, run=run.name) for number, run in enumerate(self.runs)]
        write_csv(paths[0], pd.concat(tables, ignore_index=True))
        runs = [{"run": run.name, "ramp": run.ramp, "images_per_step": run.images_per_step} for run in self.runs]
        write_json(paths[1], {"runs": runs, "parameters": self.parameters})
        return paths

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; a run has every column that one of them has.

        Raises:
            UserError: if a file is missing or damaged.
        """
        facts, table = read_json(folder / cls.FACTS), read_csv(folder / "curves.csv")
        try:
            runs = [
                Curves(
                    name=run["run"],
                    metrics=table[table["number"] == number].drop(columns=["number", "run"]).reset_index(drop=True),
                    ramp=run["ramp"],
                    images_per_step=run["images_per_step"],
                )
                for number, run in enumerate(facts["runs"])
            ]
            return cls(runs=tuple(runs), parameters=facts["parameters"])
        except (KeyError, TypeError) as error:
            fix = "restore the files or make them again"
            raise UserError(f"curves of runs in {folder / cls.FACTS} and curves.csv", f"{error!r}", fix) from None


@dataclass(frozen=True, kw_only=True)
class TrainingBatch:
    """One step's images and labels, as the networks saw them."""

    classes: tuple[str, ...]
    columns: Mapping[str, NDArray[np.uint8]]
    """Title -> (N, H, W, 3) images or (N, H, W) class ids (255 = none), in the order in which they are drawn."""
    confidence: NDArray[np.float32] | None = None
    """(N, H, W) highest softmax probability of the ensemble, where there is one."""
