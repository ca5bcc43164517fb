"""Intervals that respect what is independent: images, not pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from psmt_viz.seeds import derived_seed

Floats = NDArray[np.float64]
_COLUMNS = 256
"""Statistics that are resampled at a time, which bounds the memory."""

_LEAST_SPREAD = 0.1
"""Spread of a resample, as a share of the images' own, below which it is left out."""


class Estimate(NamedTuple):
    """A statistic and its interval."""

    value: Floats
    low: Floats
    high: Floats


class Bootstrap:
    """Resamples one set of images; every statistic sees the same resamples.

    Args:
        images: Number of images.
        draws: Number of resamples.
        seed: Seed of the resampling.

    An Introduction to the Bootstrap (Efron and Tibshirani, 1993), section 12.5: each resampled ratio is studentised by
    its own linearised standard error. The plain percentile interval of a rare event covers too rarely on few
    images (in simulation 83 to 92 % in place of 95 % on 20 images and 90 to 93 % on 64; this one 92 to 95 % on both).
    """

    def __init__(self, images: int, *, draws: int = 2000, seed: int = 0) -> None:
        rng = np.random.default_rng(derived_seed(seed, "bootstrap"))
        self._weights = rng.multinomial(images, np.full(images, 1 / images), size=draws).astype(np.float64)

    def ratio(self, numerator: NDArray[Any], denominator: NDArray[Any], *, level: float = 0.95) -> Estimate:
        """Returns sum(numerator) / sum(denominator) over images, with intervals.

        Resamples with less than a tenth of the images' own spread, such as those in which no image has a flip, tell
        nothing of it and are left out. Without spread among the images the interval is the value.

        Args:
            numerator: (N, D) or (N,) amounts of each image; may be differences.
            denominator: Amounts of each image, in the same shape.
            level: Share of the intervals that shall cover the truth.

        Returns:
            (D,) or scalar value, low and high; NaN where the denominator is 0, and no interval from 2 images.
        """
        shape = np.shape(numerator)[1:]
        above, below = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (numerator, denominator))
        columns = above.shape[1]
        parts = [
            self._studentised(above[:, at : at + _COLUMNS], below[:, at : at + _COLUMNS], level)
            for at in range(0, columns, _COLUMNS)
        ]
        value, low, high = (np.concatenate([part[i] for part in parts]).reshape(shape) for i in range(3))
        return Estimate(value, low, high)

    def _studentised(self, above: Floats, below: Floats, level: float) -> tuple[Floats, Floats, Floats]:
        weights = self._weights
        with np.errstate(divide="ignore", invalid="ignore"):
            value = above.sum(axis=0) / below.sum(axis=0)
            # Per unit of the ratio, so that squares of pixel counts do not drown its spread in rounding.
            above = above - value * below
            error = np.sqrt((above**2).sum(axis=0)) / below.sum(axis=0)
            total = weights @ below
            offset = (weights @ above) / total
            squares = weights @ above**2 - 2 * offset * (weights @ (above * below)) + offset**2 * (weights @ below**2)
            scale = np.sqrt(np.clip(squares, 0, None)) / total
            scores = np.where(scale > _LEAST_SPREAD * error, offset / scale, np.nan)
        spread = error > 1e-12 * np.abs(value)  # less is rounding
        low, high = value.copy(), value.copy()
        if spread.any():
            tails = [(1 + level) / 2, (1 - level) / 2]
            upper, lower = np.nanquantile(scores[:, spread], tails, axis=0)
            # Of two images one resample is left, which tells nothing.
            known = upper > lower
            low[spread] = np.where(known, low[spread] - upper * error[spread], np.nan)
            high[spread] = np.where(known, high[spread] - lower * error[spread], np.nan)
        return value, low, high


def share(bootstrap: Bootstrap, numerator: NDArray[Any], denominator: NDArray[Any]) -> Estimate:
    """Returns the ratio of counts with its interval, kept inside [0, 1]."""
    found = bootstrap.ratio(numerator, denominator)
    return Estimate(found.value, np.clip(found.low, 0, 1), np.clip(found.high, 0, 1))
