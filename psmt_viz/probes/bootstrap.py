"""Intervals that respect what is independent: images, not pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from psmt_viz.seeds import derived_seed


def ratio_interval(
    numerator: NDArray[np.float64],
    denominator: NDArray[np.float64],
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns the percentile interval of sum(numerator) / sum(denominator) over resampled images.

    Args:
        numerator: (N,) count of each image.
        denominator: (N,) count of each image.
        level: Share of the resampled ratios inside the interval.
        draws: Number of resamples.
        seed: Seed of the resampling.

    An Introduction to the Bootstrap (Efron and Tibshirani, 1993), section 13.3.
    """
    count = len(numerator)
    weights = np.random.default_rng(derived_seed(seed, "bootstrap")).multinomial(
        count, np.full(count, 1 / count), size=draws
    )
    below = weights @ denominator
    ratios = np.divide(weights @ numerator, below, out=np.zeros(draws), where=below > 0)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
