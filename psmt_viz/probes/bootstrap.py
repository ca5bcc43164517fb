"""Intervals of means over images, for amounts that are not counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from psmt_viz.probes.estimate import Estimate
from psmt_viz.seeds import derived_seed

_LEAST_SPREAD = 0.1
"""Spread of a resample, as a share of the images' own, below which it is left out."""


class Bootstrap:
    """Resamples one set of images; every mean sees the same resamples.

    Args:
        images: Number of images.
        draws: Number of resamples.
        seed: Seed of the resampling.

    An Introduction to the Bootstrap (Efron and Tibshirani, 1993), section 12.5: each resampled mean is studentised by
    its own standard error. For counts of pixels `shares.share` is the interval: resamples of images without an event
    know nothing of rare ones.
    """

    def __init__(self, images: int, *, draws: int = 2000, seed: int = 0) -> None:
        rng = np.random.default_rng(derived_seed(seed, "bootstrap"))
        self._weights = rng.multinomial(images, np.full(images, 1 / images), size=draws) / images

    def mean(self, values: NDArray[Any], *, level: float = 0.95) -> Estimate:
        """Returns the mean over images, with an interval.

        Resamples with less than a tenth of the images' own spread tell nothing of it and are left out. Without spread
        among several images the interval is the value.

        Args:
            values: (N,) amount of each image.
            level: Share of the intervals that shall cover the truth.

        Returns:
            Scalar value, low and high; no interval (NaN) from 1 image, or from 2 that differ.
        """
        amounts = np.asarray(values, np.float64)
        value = amounts.mean()
        around = amounts - value
        error = np.sqrt((around**2).sum()) / len(amounts)
        unknown = np.array(np.nan)
        if len(amounts) < 2:
            return Estimate(value, unknown, unknown)
        if error <= 1e-12 * abs(value):  # less is rounding
            return Estimate(value, value, value)
        offset = self._weights @ around
        scale = np.sqrt(np.clip(self._weights @ around**2 - offset**2, 0, None) / len(amounts))
        told = scale > _LEAST_SPREAD * error
        lower, upper = np.quantile(offset[told] / scale[told], [(1 - level) / 2, (1 + level) / 2])
        # Of two images one resample is left, which tells nothing.
        if not upper > lower:
            return Estimate(value, unknown, unknown)
        return Estimate(value, value - upper * error, value - lower * error)
