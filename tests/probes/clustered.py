"""Simulated counts whose images differ, and the plain intervals to compare with."""

from typing import Any

import numpy as np
from scipy import stats


def pixels_of(rng: np.random.Generator, images: int, sets: int) -> np.ndarray:
    """(images, sets) correct pixels: some images have several times as many as others."""
    return np.ceil(rng.lognormal(7, 0.6, (images, sets)))


def gamma_poisson(rng: np.random.Generator, expected: np.ndarray, dispersion: float) -> np.ndarray:
    """Events of mean `expected` whose variance is `dispersion` times their mean."""
    if dispersion == 1:
        return rng.poisson(expected).astype(float)
    return rng.poisson(rng.gamma(expected / (dispersion - 1), dispersion - 1)).astype(float)


def events_of(
    rng: np.random.Generator, pixels: np.ndarray, expected: float, dispersion: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (images, sets) events, `expected` in all of a set, and the true share of each set."""
    share = expected / pixels.sum(axis=0)
    return np.minimum(gamma_poisson(rng, share * pixels, dispersion), pixels), share


def coverage(found: Any, truth: np.ndarray) -> float:
    """Returns how many of the intervals hold the truth, as a share."""
    return float(np.mean((found.low <= truth) & (truth <= found.high)))


def clopper_pearson(events: float, pixels: float, level: float = 0.95) -> tuple[float, float]:
    """By its definition through the binomial's tails, as scipy has it."""
    return tuple(stats.binomtest(int(events), int(pixels)).proportion_ci(level))


def studentised(events: np.ndarray, pixels: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """A 95 % studentised bootstrap over images, which this project used before."""
    n = len(events)
    weights = np.random.default_rng(1).multinomial(n, [1 / n] * n, size=draws)

    def errors(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ratio = weights @ events / (weights @ pixels)
        squares = (weights * (events - ratio[:, None] * pixels) ** 2).sum(axis=1)
        return ratio, np.sqrt(squares) / (weights @ pixels)

    (value,), (error,) = errors(np.ones((1, n)))
    ratio, own = errors(weights)
    if error == 0:
        return value, value
    kept = own > 0.1 * error
    low, high = np.quantile((ratio[kept] - value) / own[kept], [0.975, 0.025])
    return max(value - low * error, 0), value - high * error
