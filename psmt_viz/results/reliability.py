"""How well confidence matches accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import pandas as pd

from psmt_viz.results.result import Result
from psmt_viz.results.tables import read_csv, write_csv


@dataclass(frozen=True, kw_only=True)
class Reliability(Result):
    """How often the predictions of each role are right, by how confident they are.

    Confidence is the highest softmax probability of a pixel. Shares are in [0, 1]; `<name>_low` and `<name>_high` bound
    the 95 % interval over images. `asked` holds part, bins and seed; `used` the number of images.
    """

    bins: pd.DataFrame
    """One row per role and bin of confidence: role, low, high (low < confidence <= high), pixels, correct_pixels,
    confidence (its mean over the bin's pixels), accuracy, accuracy_low, accuracy_high; the last four are empty where no
    pixel is."""
    roles: pd.DataFrame
    """One row per role: role, ece, ece_low, ece_high (expected calibration error), confidence and accuracy (means over
    all pixels), pixels."""

    NAME: ClassVar = "reliability"
    COMMAND: ClassVar = "reliability"
    TITLE: ClassVar = "reliability"
    FACTS: ClassVar = "reliability.json"

    def save(self, folder: Path) -> list[Path]:
        """Writes reliability_bins.csv, reliability.csv and reliability.json."""
        paths = [folder / "reliability_bins.csv", folder / "reliability.csv"]
        for path, table in zip(paths, (self.bins, self.roles), strict=True):
            write_csv(path, table)
        return [*paths, self._write_facts(folder)]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        with cls._reading(folder) as (_, parts):
            bins, roles = (read_csv(folder / name) for name in ("reliability_bins.csv", "reliability.csv"))
            return cls(bins=bins, roles=roles, **parts)
