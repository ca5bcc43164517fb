"""From what was counted of each image to tables with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.errors import UserError
from psmt_viz.kinds import REFERENCES
from psmt_viz.metrics import mean_iou
from psmt_viz.probes.bootstrap import Bootstrap
from psmt_viz.probes.shares import paired_difference, share
from psmt_viz.probes.strata import CONFIDENCE_EDGES, DISTANCE_EDGES, bins_of
from psmt_viz.probes.tally import Counts, Tally
from psmt_viz.search import Norm

Size = float | None
"""An eps, or None for the own size of a feature perturbation."""
Cell = tuple[str, Size, str]
"""Kind, size and judge."""
_KEY = ("kind", "judge", "norm", "eps")
_PAIRED = (*_KEY, "against", "difference", "difference_low", "difference_high", "images")
_CONFUSION = (*_KEY, "truth", "prediction", "pixels")


class FlipTables:
    """Tables of what was tallied, all with intervals over images.

    Args:
        tallies: Kind, size and judge -> what was counted.
        clean: Judge -> confusion matrix before any perturbation.
        classes: Names in the order of their ids.
        norm: What eps bounds.
        seed: Seed of the resampling behind the intervals of KL.
    """

    def __init__(
        self,
        tallies: Mapping[Cell, Tally],
        clean: Mapping[str, Counts],
        classes: Sequence[str],
        *,
        norm: Norm,
        seed: int,
    ) -> None:
        self._tallies, self._clean, self._classes, self._norm = tallies, clean, classes, norm
        self._bootstrap = Bootstrap(len(next(iter(tallies.values())).kl), seed=seed)

    def frames(self) -> dict[str, Any]:
        """Returns the tables of `Flips` by its fields.

        Raises:
            UserError: if a judge has no correct pixel.
        """
        by = [{"class": name} for name in self._classes]
        distances = [{"low": low, "high": high} for low, high in bins_of(DISTANCE_EDGES, math.inf)]
        confidences = [{"low": low, "high": high} for low, high in bins_of(CONFIDENCE_EDGES, 1.0)]
        return {
            "flips": pd.DataFrame(
                [self._key(cell) | self._row(cell[2], tally) for cell, tally in self._tallies.items()]
            ),
            "paired": pd.DataFrame(self._paired(), columns=_PAIRED),
            "by_class": self._stratum("class", by),
            "by_distance": self._stratum("distance", distances),
            "by_confidence": self._stratum("confidence", confidences),
            "confusion": pd.DataFrame(self._confusion(), columns=_CONFUSION),
        }

    def _key(self, cell: Cell) -> dict[str, Any]:
        kind, size, judge = cell
        own = size is None
        eps = float(np.mean(self._tallies[cell].norm)) if own else size
        return {"kind": kind, "judge": judge, "norm": "own" if own else self._norm, "eps": eps}

    def _row(self, judge: str, tally: Tally) -> dict[str, Any]:
        correct, flipped = _totals(tally)
        if not correct.sum():
            fix = "train the run for longer, or check the data"
            raise UserError(f"pixels that {judge} predicts correctly", "none", fix)
        kl = self._bootstrap.mean(np.array(tally.kl))
        return {
            "relative_norm": float(np.mean(tally.relative_norm)),
            **_shares(flipped, correct),
            "kl": float(kl.value),
            "kl_low": float(np.maximum(kl.low, 0)),
            "kl_high": float(kl.high),
            "kl_per_pixel": float(np.sum(tally.kl) / np.sum(tally.pixels)),
            "miou": mean_iou(np.asarray(tally.matrix)),
            "miou_clean": mean_iou(self._clean[judge]),
            "images": len(correct),
            "correct_pixels": int(correct.sum()),
            "flipped_pixels": int(flipped.sum()),
        }

    def _paired(self) -> list[dict[str, Any]]:
        """Subtracts VAT and the random direction from every other kind of the same size, on the same pixels."""
        rows = []
        for (kind, size, judge), tally in self._tallies.items():
            for against in REFERENCES:
                other = self._tallies.get((against, size, judge))
                if other is None or kind == against or size is None:
                    continue
                correct, flipped = _totals(tally)
                found = paired_difference(flipped, _totals(other)[1], correct)
                difference = {
                    "against": against,
                    "difference": float(found.value),
                    "difference_low": float(found.low),
                    "difference_high": float(found.high),
                    "images": len(correct),
                }
                rows.append(self._key((kind, size, judge)) | difference)
        return rows

    def _stratum(self, stratum: str, labels: Sequence[dict[str, Any]]) -> pd.DataFrame:
        keys, found = [self._key(cell) for cell in self._tallies], []
        for tally in self._tallies.values():
            correct, flipped = _stack(tally.correct, stratum), _stack(tally.flipped, stratum)
            counts = {"correct_pixels": correct.sum(axis=0), "flipped_pixels": flipped.sum(axis=0)}
            found.append(counts | _shares(flipped, correct))
        # Column by column: a table of its own for each cell would take longer than the counting.
        columns: dict[str, Any] = {name: [key[name] for key in keys for _ in labels] for name in _KEY}
        columns |= {name: [label[name] for label in labels] * len(keys) for name in labels[0]}
        columns |= {name: np.concatenate([each[name] for each in found]) for name in found[0]}
        return pd.DataFrame(columns)

    def _confusion(self) -> list[dict[str, Any]]:
        return [
            self._key(cell) | {"truth": self._classes[truth], "prediction": self._classes[after], "pixels": int(pixels)}
            for cell, tally in self._tallies.items()
            for (truth, after), pixels in np.ndenumerate(np.asarray(tally.flips))
            if pixels
        ]


def _stack(counts: list[dict[str, Counts]], stratum: str) -> NDArray[np.int64]:
    return np.stack([each[stratum] for each in counts])


def _totals(tally: Tally) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns correct and flipped pixels of each image."""
    return _stack(tally.correct, "class").sum(axis=1), _stack(tally.flipped, "class").sum(axis=1)


def _shares(flipped: NDArray[np.int64], correct: NDArray[np.int64]) -> dict[str, Any]:
    rate = share(flipped, correct)
    return {"flip_rate": rate.value[()], "flip_rate_low": rate.low[()], "flip_rate_high": rate.high[()]}
