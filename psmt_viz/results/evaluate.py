"""Scores of each role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.metrics import iou, mean_iou, pixel_accuracy
from psmt_viz.results.result import Result
from psmt_viz.results.tables import read_csv, write_csv

ROLES = ("student", "teacher1", "teacher2", "ensemble")
"""Who can predict, in the order of every table; the ensemble is the mean of the two teachers' logits."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The mIoU of each role of a run, without the counts behind it."""

    miou: Mapping[str, float]
    """Role -> share in [0, 1]; only the roles that the run has."""
    classes: tuple[str, ...] = ()
    """Names of the classes scored; empty where they are not known."""
    subject: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """`part` and `images`, as `Evaluation` has them."""


@dataclass(frozen=True, kw_only=True)
class Evaluation(Result):
    """Scores of each role on one set of images, from one confusion matrix per role.

    `asked` holds the part of the data set that was scored, `used` the number of images.
    """

    classes: tuple[str, ...]
    confusion: Mapping[str, NDArray[np.int64]]
    """Role -> (K, K) pixel counts, rows = truth, columns = prediction; only the roles that the run has."""

    NAME: ClassVar = "evaluate"
    COMMAND: ClassVar = "evaluate"
    TITLE: ClassVar = "evaluation"
    FACTS: ClassVar = "evaluation.json"
    FILES: ClassVar = ("evaluation.csv", "confusion.csv", FACTS)
    """Scores, confusion matrices and facts."""

    @property
    def miou(self) -> dict[str, float]:
        """The mIoU of each role that the run has, in [0, 1]."""
        return {role: mean_iou(matrix) for role, matrix in self.confusion.items()}

    def table(self) -> pd.DataFrame:
        """Returns one row per role: role, miou, pixel_accuracy, iou_<class>; shares in [0, 1]."""
        rows, miou = [], self.miou
        for role, matrix in self.confusion.items():
            row: dict[str, Any] = {
                "role": role,
                "miou": miou[role],
                "pixel_accuracy": pixel_accuracy(matrix),
            }
            row |= {f"iou_{name}": value for name, value in zip(self.classes, iou(matrix), strict=True)}
            rows.append(row)
        return pd.DataFrame(rows)

    def save(self, folder: Path) -> list[Path]:
        """Writes evaluation.csv, confusion.csv and evaluation.json."""
        cells = [
            {"role": role, "truth": truth, "prediction": prediction, "pixels": int(matrix[i, j])}
            for role, matrix in self.confusion.items()
            for i, truth in enumerate(self.classes)
            for j, prediction in enumerate(self.classes)
        ]
        paths = [folder / name for name in self.FILES[:2]]
        write_csv(paths[0], self.table())
        write_csv(paths[1], pd.DataFrame(cells))
        return [*paths, self._write_facts(folder, classes=list(self.classes))]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        with cls._reading(folder) as (facts, parts):
            classes, cells = tuple(facts["classes"]), read_csv(folder / cls.FILES[1])
            size = len(classes)
            confusion = {
                str(role): rows["pixels"].to_numpy(np.int64).reshape(size, size)
                for role, rows in cells.groupby("role", sort=False)
            }
            return cls(classes=classes, confusion=confusion, **parts)
