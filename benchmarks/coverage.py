"""Coverage of the 95 % intervals of shares and of paired differences, from half an expected event up.

Claim: at least 93 % in every cell of the grid, even where a bootstrap over images covers the truth in one data set of
ten, and for shares at most 98 % from 10 expected events on.

    python -m benchmarks.coverage --sets 20000 --without-bootstrap

Cost: 1 minute of one thread of a CPU, 1 GB.
Expected: shares 0.935 to 0.987, at most 0.979 from 10 events on; differences 0.941 to 1.000. A studentised bootstrap of
shares 0.115 in its worst cell.

Events are gamma-Poisson: those of an image have a variance of 1, 3 or 10 times their mean, which is in proportion to
its pixels (log-normal, sigma 0.6). Of differences the events are the pixels that only one of the kinds flips: half of
them each (no difference), or 0.75 or 0.9 of one kind. Three times as many are common to both, and cancel.
"""

from __future__ import annotations

import argparse
import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from benchmarks.pairs import Section
from psmt_viz.probes.shares import paired_difference, share

Floats = NDArray[np.float64]
IMAGES, DISPERSIONS, EVENTS, FIRST = (12, 64, 175), (1, 3, 10), (0.5, 1, 3, 10, 30, 300), (0.5, 0.75, 0.9)
DRAWS = 1000
"""Resamples of a bootstrap."""


class Interval(NamedTuple):
    """Ends of the intervals of many sets."""

    low: Floats
    high: Floats


def gamma_poisson(rng: np.random.Generator, mean: Floats, dispersion: int) -> Floats:
    """Draws events whose variance is `dispersion` times their mean."""
    if dispersion > 1:
        mean = rng.gamma(mean / (dispersion - 1), dispersion - 1)
    return rng.poisson(mean).astype(float)


def clopper_pearson(events: Floats, pixels: Floats) -> Interval:
    """Returns the exact interval of independent pixels."""
    some = np.maximum(events, 1)
    low = np.where(events > 0, special.betaincinv(some, pixels - some + 1, 0.025), 0)
    return Interval(low, special.betaincinv(events + 1, pixels - events, 0.975))


def exact_difference(one: Floats, other: Floats, pixels: Floats) -> Interval:
    """Returns MOVER's interval from the exact ones of the pixels that only one kind flips."""
    (low, high), (low2, high2) = clopper_pearson(one, pixels), clopper_pearson(other, pixels)
    first, second = one / pixels, other / pixels
    middle = first - second
    return Interval(middle - np.hypot(first - low, high2 - second), middle + np.hypot(high - first, second - low2))


def bootstraps(events: Floats, pixels: Floats) -> dict[str, Interval]:
    """Returns both intervals over resampled images: studentised, used here before, and the plain percentiles."""
    images = len(events)
    weights = np.random.default_rng(1).multinomial(images, np.full(images, 1 / images), size=DRAWS).astype(float)
    value = events.sum(axis=0) / pixels.sum(axis=0)
    apart = events - value * pixels
    error = np.sqrt((apart**2).sum(axis=0)) / pixels.sum(axis=0)
    total = weights @ pixels
    offset = (weights @ apart) / total
    squares = weights @ apart**2 - 2 * offset * (weights @ (apart * pixels)) + offset**2 * (weights @ pixels**2)
    scale = np.sqrt(np.clip(squares, 0, None)) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(scale > 0.1 * error, offset / scale, np.nan)
    ends = [0.025, 0.975]
    some = error > 0
    studentised = Interval(value.copy(), value.copy())
    if some.any():
        lower, upper = np.nanquantile(scores[:, some], ends, axis=0)
        studentised.low[some] -= upper * error[some]
        studentised.high[some] -= lower * error[some]
    low, high = np.quantile(value + offset, ends, axis=0)
    return {"studentised": studentised, "percentile": Interval(low, high)}


def cell(interval: Interval, truth: Floats, total: Floats) -> str:
    """Returns coverage and median width in events; `total` is the pixels of each set."""
    covered = np.mean((interval.low <= truth) & (truth <= interval.high))
    width = np.median((interval.high - interval.low) * total)
    return f"{covered:.3f} ({width:.3g})"


class Cell(NamedTuple):
    """A cell of the grid."""

    images: int
    dispersion: int
    expected: float
    first: float | None
    """Of differences: the part of the events that is of the first kind."""


def simulated(where: Cell, sets: int, resampled: int) -> tuple[list[str], float]:
    """Simulates a cell; returns its cells of the table, and our coverage."""
    images, dispersion, expected, first = where
    rng = np.random.default_rng([images, dispersion, round(10 * expected), round(100 * (first or 0))])
    pixels = np.ceil(rng.lognormal(7, 0.6, (images, sets)))
    total = pixels.sum(axis=0)
    rate = expected / total
    if first is None:
        events, truth = np.minimum(gamma_poisson(rng, rate * pixels, dispersion), pixels), rate
        found = share(events, pixels)
        exact = clopper_pearson(events.sum(axis=0), total)
    else:
        both, one, other = (gamma_poisson(rng, part * rate * pixels, dispersion) for part in (3, first, 1 - first))
        events, truth = one - other, (2 * first - 1) * rate
        found = paired_difference(both + one, both + other, pixels)
        exact = exact_difference(one.sum(axis=0), other.sum(axis=0), total)
    cells = [cell(Interval(found.low, found.high), truth, total)]
    if resampled:
        some = slice(resampled)
        before = bootstraps(events[:, some], pixels[:, some])
        cells += [cell(each, truth[some], total[some]) for each in before.values()]
    return [*cells, cell(exact, truth, total)], float(np.mean((found.low <= truth) & (truth <= found.high)))


def grid(firsts: tuple[float | None, ...], sets: int, resampled: int) -> Section:
    """Simulates all cells of one kind of interval; returns their table, the extremes of the coverage in words."""
    share_of = firsts[0] is None
    columns = ["images", "variance / mean", "expected events", *([] if share_of else ["of one kind"])]
    columns += ["now", *(["studentised", "percentile"] if resampled else []), "Clopper-Pearson"]
    rows, ours = [], []
    for first, images, dispersion, expected in itertools.product(firsts, IMAGES, DISPERSIONS, EVENTS):
        cells, covered = simulated(Cell(images, dispersion, expected, first), sets, resampled)
        ours.append((covered, expected))
        rows.append([str(images), str(dispersion), f"{expected:g}", *([] if first is None else [f"{first:g}"]), *cells])
    often = [covered for covered, expected in ours if expected >= 10]
    about = (
        f"Coverage, and the median width in events. *now*: lowest {min(ours)[0]:.3f}, highest from 10 events "
        f"on {max(often):.3f}, where {sum(covered > 0.98 for covered in often)} of {len(often)} cells are above 0.98."
    )
    title = "Coverage of the intervals of " + ("shares" if share_of else "paired differences")
    return Section(title=title, about=about, table=pd.DataFrame(rows, columns=columns))


def measure(sets: int = 10000, resampled: int = 1000) -> list[Section]:
    """Returns the coverage of shares and of differences."""
    return [grid(firsts, sets, resampled) for firsts in ((None,), FIRST)]


def main() -> None:
    """Prints both tables, and their lowest and highest coverage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=10000, help="simulated data sets of each cell")
    parser.add_argument("--resampled", type=int, default=1000, help="how many of them the bootstraps take")
    parser.add_argument("--without-bootstrap", action="store_true", help="leave the bootstraps out")
    args = parser.parse_args()
    for section in measure(args.sets, 0 if args.without_bootstrap else args.resampled):
        print(section.title, section.about, section.table.to_string(index=False), "", sep="\n")


if __name__ == "__main__":
    main()
