"""Shares of clustered pixels, and their paired differences, with intervals that hold for rare events."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from psmt_viz.probes.effective_counts import (
    UNSEEN_DISPERSION,
    clusters,
    lower_limit,
    upper_dispersion,
    upper_limit,
)
from psmt_viz.probes.estimate import Estimate, Floats


def share(events: NDArray[Any], pixels: NDArray[Any], *, level: float = 0.95) -> Estimate:
    """Returns the share of pixels with an event, over images, with an interval that holds from 0 events up.

    Pixels of one image are not independent, so both counts are divided by the dispersion (variance over mean) of an
    image's events and the Beta limits of these effective numbers are taken. Where more than half of the pixels have
    an event those without are counted, so that a share and its complement have mirrored intervals.

    Args:
        events: (N, D) or (N,) pixels with an event, at most `pixels`.
        pixels: Pixels of each image, in the same shape.
        level: Share of the intervals that shall cover the truth.

    Returns:
        (D,) or scalar value, low and high in [0, 1]; NaN without pixels, and no interval from a single image.

    Korn and Graubard (Survey Methodology 24, 1998): Clopper and Pearson's interval with an effective sample size.
    Fay and Feuer (Statistics in Medicine 16, 1997): the same for weighted counts, with one more event of unknown
    weight in the upper limit. Measured coverage is in benchmarks/RESULTS.md.
    """
    counted, size, shape = _columns(events, pixels)
    found, total = counted.sum(axis=0), size.sum(axis=0)
    common = 2 * found > total
    rare, count = np.where(common, size - counted, counted), np.where(common, total - found, found)
    known = np.maximum(total, 1)
    spread = clusters(rare - size * (count / known), size, level=level)
    low = lower_limit(count, known, spread.lower, level=level)
    high = upper_limit(count, known, upper_dispersion(count, known, spread.upper), level=level)
    low, high = np.where(common, 1 - high, low), np.where(common, 1 - low, high)
    return _estimate(found, total, (low, high), spread.images, shape)


def paired_difference(
    events: NDArray[Any], others: NDArray[Any], pixels: NDArray[Any], *, level: float = 0.95
) -> Estimate:
    """Returns the difference of two shares of the same pixels, events minus others, with an interval.

    What both have in common cancels image by image. The net differences of the images that are above 0, and those
    below, are two counts of rare events, each with limits as in `share`; squared distances from them add up (MOVER).

    Args:
        events: (N, D) or (N,) pixels with an event.
        others: Those with an event of the other kind.
        pixels: Pixels of each image; all in the same shape.
        level: Share of the intervals that shall cover the truth.

    Returns:
        (D,) or scalar value, low and high in [-1, 1]; NaN without pixels, and no interval from a single image.

    Zou and Donner (Statistics in Medicine 27, 2008). Measured coverage is in benchmarks/RESULTS.md.
    """
    net, size, shape = _columns(np.subtract(events, others, dtype=np.float64), pixels)
    total, found = size.sum(axis=0), net.sum(axis=0)
    known = np.maximum(total, 1)
    more = np.maximum(net, 0).sum(axis=0)
    fewer = more - found
    counted = more + fewer
    either = np.maximum(counted, np.finfo(float).tiny)
    balance = np.where(counted > 0, 1 - abs(found) / either, 1.0)
    spread = clusters(net - size * (found / known), size, balance=balance, level=level)
    # Events in one direction tell how strongly those in the other come in clusters.
    unseen = np.minimum(upper_dispersion(counted, 2 * known, spread.lower), UNSEEN_DISPERSION)

    def limits(count: Floats) -> tuple[Floats, Floats, Floats]:
        part = count / either
        dispersion = upper_dispersion(count, known, spread.upper * part, unseen=unseen)
        # Two upper limits that add up need no event more each where there are many on both sides.
        many = (counted / dispersion) ** 2
        high = upper_limit(count, known, dispersion, extra=1 - balance * many / (many + 1), level=level)
        rate = count / known
        return rate, lower_limit(count, known, spread.lower * part, level=level), np.maximum(high, rate)

    (up, up_low, up_high), (down, down_low, down_high) = limits(more), limits(fewer)
    low = up - down - np.hypot(up - up_low, down_high - down)
    high = up - down + np.hypot(up_high - up, down - down_low)
    return _estimate(found, total, (np.maximum(low, -1), np.minimum(high, 1)), spread.images, shape)


def _columns(amounts: NDArray[Any], pixels: NDArray[Any]) -> tuple[Floats, Floats, tuple[int, ...]]:
    """Returns both as (N, D), and the shape of the result."""
    first, second = (np.asarray(values, np.float64).reshape(len(values), -1) for values in (amounts, pixels))
    return first, second, np.shape(amounts)[1:]


def _estimate(
    found: Floats, total: Floats, ends: tuple[Floats, Floats], images: NDArray[np.int64], shape: tuple[int, ...]
) -> Estimate:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = found / total
    # One image does not tell how images differ.
    low, high = (np.where(images > 1, end, np.nan) for end in ends)
    return Estimate(value.reshape(shape), low.reshape(shape), high.reshape(shape))
