"""What each kind of perturbation does to the predictions of each judge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd

from psmt_viz.results.result import Result
from psmt_viz.results.tables import read_csv, write_csv


@dataclass(frozen=True, kw_only=True)
class Flips(Result):
    """How many correctly predicted pixels each kind of perturbation turns wrong, where, and for whom.

    Every table has the columns kind, judge, norm and eps first. `norm` is `image` or `pixel`, or `own` for a feature
    perturbation of the size at which its authors apply it, whose `eps` is then its mean norm. Shares are in [0, 1];
    `<share>_low` and `<share>_high` bound the 95 % interval over images. Correct pixels are those that the judge
    predicts correctly from the unperturbed features. `asked` holds eps, kinds, judges, seed and how perturbations are
    found; `used` the eps, kinds and judges that were measured, the kinds skipped because there are no teachers, and
    the number of images.
    """

    flips: pd.DataFrame
    """relative_norm, flip_rate, flip_rate_low, flip_rate_high, kl (nats, summed over the pixels of an image, mean over
    images), kl_low, kl_high, kl_per_pixel, miou, miou_clean, images, correct_pixels, flipped_pixels."""
    paired: pd.DataFrame
    """One row per kind minus another: against, difference, difference_low, difference_high (of the flip rates, same
    images, same pixels), images."""
    by_class: pd.DataFrame
    """class, correct_pixels, flipped_pixels, flip_rate, flip_rate_low, flip_rate_high."""
    by_distance: pd.DataFrame
    """low, high (pixels to the nearest pixel of another class, low <= distance < high), then as `by_class`."""
    by_confidence: pd.DataFrame
    """low, high (the judge's clean softmax maximum, low <= confidence < high, the last bin with 1), then as
    `by_class`."""
    confusion: pd.DataFrame
    """From which class to which: truth, prediction, pixels; only pairs that occur."""
    health: dict[str, Any]
    """Kind -> measure (norm_over_eps, unchanged, cosine, gain) -> min, mean, max over images; `warnings`: what is
    wrong with it in words, none if all is well."""

    NAME: ClassVar = "perturb"
    COMMAND: ClassVar = "perturb"
    TITLE: ClassVar = "perturbations"
    FACTS: ClassVar = "health.json"
    _TABLES: ClassVar = {
        "flips": "flips.csv",
        "paired": "flips_paired.csv",
        "by_class": "flips_by_class.csv",
        "by_distance": "flips_by_distance.csv",
        "by_confidence": "flips_by_confidence.csv",
        "confusion": "flips_confusion.csv",
    }

    def save(self, folder: Path) -> list[Path]:
        """Writes flips.csv, the other tables as flips_*.csv, and health.json."""
        paths = []
        for name, file in self._TABLES.items():
            write_csv(folder / file, getattr(self, name))
            paths.append(folder / file)
        return [*paths, self._write_facts(folder, health=self.health)]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        with cls._reading(folder) as (facts, parts):
            tables: dict[str, Any] = {name: read_csv(folder / file) for name, file in cls._TABLES.items()}
            return cls(**tables, health=facts["health"], **parts)
