"""Beta limits of a share whose events come in clusters: an exact interval for the effective number of events."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from psmt_viz.probes.estimate import Floats

UNSEEN_DISPERSION = 3.0
"""Variance over mean of an image's events that is assumed before any event is seen. Flipped pixels touch each other:
where a run of `scenes` had 2 to 20 flips in a cell it was 2 on average, and 4 in one cell of ten."""
_UPPER_WEIGHT = 0.5
"""Events that this assumption weighs in the upper limit."""
_LOWER_WEIGHT = 8.0
"""Events that the assumption of independent pixels (a dispersion of 1) weighs in the lower limit."""
_LOWER_FLOOR = 0.5
"""Least dispersion in the lower limit: few images that agree by chance are no certainty."""


class Clusters(NamedTuple):
    """How the events of one statistic spread over images; every entry (D,)."""

    lower: Floats
    """Variance of the sum of events, for limits towards zero."""
    upper: Floats
    """The same, larger where few images carry it, for limits away from zero."""
    images: NDArray[np.int64]
    """Images with a denominator above 0."""


def tails(level: float) -> tuple[float, float]:
    """Returns the probabilities at which the two ends of an equal-tailed interval lie."""
    return (1 - level) / 2, (1 + level) / 2


def clusters(residuals: Floats, denominator: Floats, *, balance: Any = 0.0, level: float = 0.95) -> Clusters:
    """Returns the cluster-robust variance of a sum over images, raised for how well it is known.

    Both variances have the ratio of Student's to the normal quantile squared as a factor, as in Korn and Graubard
    (Survey Methodology 24, 1998). Its degrees of freedom are one less than the images for the lower limit. For the
    upper limit they are 2 and 0.35 of the images that carry the variance, (sum of e^2)^2 / sum of e^4, chosen by
    benchmarks/coverage.py: sums of rare clusters are skewed, and a sample without the large ones has both too few
    events and too small a variance.

    Args:
        residuals: (N, D) events of each image minus those expected by its denominator.
        denominator: (N, D) amounts of each image.
        balance: (D,) 0 where all events have one sign, 1 where both are as many; such sums are not skewed.
        level: Share of the intervals that shall cover the truth.
    """
    images = (denominator > 0).sum(axis=0)
    free = np.maximum(images - 1, 1)
    squares = residuals**2
    # Per unit of the largest, so that fourth powers neither overflow nor vanish.
    scaled = squares / np.maximum(squares.max(axis=0, initial=0), np.finfo(float).tiny)
    carriers = scaled.sum(axis=0) ** 2 / np.maximum((scaled**2).sum(axis=0), 1e-300)
    normal = special.ndtri(tails(level)[1])
    few = np.clip((0.35 + balance) * carriers + 2, 1, free)
    variance = squares.sum(axis=0) * images / free
    lower, upper = (variance * (special.stdtrit(each, tails(level)[1]) / normal) ** 2 for each in (free, few))
    return Clusters(lower, upper, images)


def upper_dispersion(events: Floats, total: Floats, variance: Floats, *, unseen: Any = UNSEEN_DISPERSION) -> Floats:
    """Returns variance over mean of the events for the upper limit, never below that of independent pixels.

    Args:
        events: (D,) numbers of events.
        total: (D,) numbers of pixels.
        variance: (D,) variance of `events`.
        unseen: What is assumed where no event is seen.
    """
    return np.maximum(_dispersion(events, total, variance, weight=_UPPER_WEIGHT, prior=unseen), 1.0)


def lower_limit(events: Floats, total: Floats, variance: Floats, *, level: float = 0.95) -> Floats:
    """Returns the lower limit of a share: Clopper and Pearson's for few effective events, Jeffreys's for many.

    Args:
        events: (D,) numbers of events.
        total: (D,) numbers of pixels, above 0.
        variance: (D,) variance of `events`.
        level: Share of the intervals that shall cover the truth.
    """
    dispersion = np.maximum(_dispersion(events, total, variance, weight=_LOWER_WEIGHT, prior=1.0), _LOWER_FLOOR)
    effective, size = events / dispersion, total / dispersion
    shift = 0.5 * effective**2 / (effective**2 + 1)
    # An interval of no event begins at 0; a shape of 0 has no quantile.
    shape = np.where(events > 0, effective + shift, 1.0)
    return np.where(events > 0, special.betaincinv(shape, size - effective + 1 - shift, tails(level)[0]), 0.0)


def upper_limit(events: Floats, total: Floats, dispersion: Floats, *, extra: Any = 1.0, level: float = 0.95) -> Floats:
    """Returns the upper limit of a share: Clopper and Pearson's of the effective numbers of events and pixels.

    Args:
        events: (D,) numbers of events.
        total: (D,) numbers of pixels, above 0.
        dispersion: (D,) variance over mean of the events.
        extra: (D,) effective events that are added before the quantile is taken; 1 is exact.
        level: Share of the intervals that shall cover the truth.
    """
    effective, size = events / dispersion, total / dispersion
    rest = size - effective + 1 - extra
    inside = rest > 0
    return np.where(inside, special.betaincinv(effective + extra, np.where(inside, rest, 1.0), tails(level)[1]), 1.0)


def _dispersion(events: Floats, total: Floats, variance: Floats, *, weight: float, prior: Any) -> Floats:
    # A binomial count has the mean times the share of the others for variance.
    others = np.maximum(1 - events / total, 1e-12)
    return (weight * prior + variance / others) / (weight + events)
