"""Intervals of shares: exact where pixels are independent, wider where they are not, right from 0 events up."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import optimize, special, stats

from psmt_viz.probes.shares import share
from tests.probes.clustered import clopper_pearson, coverage, events_of, gamma_poisson, pixels_of, studentised

CASES = [(12, 0.5, 10), (12, 3, 3), (12, 10, 10), (12, 30, 10), (64, 3, 1), (64, 10, 3), (175, 1, 3), (175, 30, 10)]
"""Images, expected events, variance over mean: the cells of the grid in benchmarks/coverage.py that are hardest."""


@pytest.mark.parametrize(("images", "expected", "dispersion"), CASES)
def test_covers_rare_clustered_events(images: int, expected: float, dispersion: float) -> None:
    rng = np.random.default_rng(1)
    pixels = pixels_of(rng, images, 8000)
    events, truth = events_of(rng, pixels, expected, dispersion)
    covered = coverage(share(events, pixels), truth)
    assert covered >= 0.93
    assert covered <= 0.985 or expected < 10


@pytest.mark.parametrize(("images", "expected", "dispersion"), [(12, 3, 3), (64, 3, 3), (12, 10, 10)])
def test_a_studentised_bootstrap_would_not(images: int, expected: float, dispersion: float) -> None:
    rng = np.random.default_rng(1)
    pixels = pixels_of(rng, images, 300)
    events, truth = events_of(rng, pixels, expected, dispersion)
    found = [studentised(events[:, i], pixels[:, i], draws=500) for i in range(300)]
    assert np.mean([low <= each <= high for (low, high), each in zip(found, truth, strict=True)]) < 0.8


@pytest.mark.parametrize("correlation", [0.005, 0.05])
def test_covers_common_events_that_are_correlated_within_an_image(correlation: float) -> None:
    """Beta-binomial: other than the gamma-Poisson counts above, and far from rare."""
    rng = np.random.default_rng(2)
    size = (1 - correlation) / correlation
    for images in (12, 64):
        pixels = pixels_of(rng, images, 4000)
        for rate in (0.02, 0.3, 0.9):
            events = rng.binomial(pixels.astype(int), rng.beta(rate * size, (1 - rate) * size, pixels.shape))
            assert 0.93 <= coverage(share(events, pixels), np.full(4000, rate)) <= 0.98


def test_no_event_leaves_three_events_possible_times_their_clustering() -> None:
    found = share(np.zeros((8, 1)), np.full((8, 1), 100.0))
    assert found.value == found.low == 0
    # (1 - p)^(800 / 3) = 0.025, by hand: no event among a third as many independent pixels.
    assert found.high == pytest.approx(1 - 0.025 ** (3 / 800), rel=1e-9)
    assert found.high > clopper_pearson(0, 800)[1]


def test_one_event() -> None:
    """Of 8 images with 100 pixels: a variance of 1 from one image; by hand."""
    found = share(np.eye(8)[0], np.full(8, 100.0))
    normal, variance = stats.norm.ppf(0.975), 1 / (1 - 1 / 800)
    few, free = (stats.t.ppf(0.975, degrees) / normal for degrees in (0.35 * carriers() + 2, 7))
    upper, lower = (0.5 * 3 + variance * few**2) / 1.5, (8 + variance * free**2) / 9
    assert found.value == 1 / 800
    assert found.high == pytest.approx(stats.beta.ppf(0.975, 1 / upper + 1, 799 / upper), rel=1e-9)
    shift = 0.5 / (1 + lower**2)
    shape = 1 / lower + shift, 799 / lower + 1 - shift
    assert found.low == pytest.approx(stats.beta.ppf(0.025, *shape), rel=1e-9)


def carriers() -> float:
    residuals = np.eye(8)[0] - 1 / 8
    return float((residuals**2).sum() ** 2 / (residuals**4).sum())


@pytest.mark.parametrize("events", [3, 20, 200])
def test_independent_pixels_have_about_the_exact_interval(events: int) -> None:
    """An event each in as many of 2000 images: as spread as events can be."""
    ones, pixels = np.zeros(2000), np.full(2000, 50.0)
    ones[:events] = 1
    found, (low, high) = share(ones, pixels), clopper_pearson(events, 100_000)
    value = events / 100_000
    wider = {3: 2.2, 20: 1.35, 200: 1.02}[events]
    assert 0.999 * (high - value) <= found.high - value < wider * (high - value)
    assert low <= found.low < value
    assert value - found.low > 0.9 * (value - low)


def test_many_clustered_events_have_the_normal_interval() -> None:
    rng = np.random.default_rng(3)
    pixels = np.full(5000, 400.0)
    events = gamma_poisson(rng, pixels / 10, 5)
    found = share(events, pixels)
    error = np.sqrt(((events - found.value * pixels) ** 2).sum()) / pixels.sum()
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.03 * error)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.03 * error)


def test_beta_limits_solve_the_equations_that_define_them() -> None:
    events = np.array([2.0, 0, 5, 0, 0, 1, 0, 3, 1, 0, 0, 0])
    high = float(share(events, np.full(12, 30.0)).high)
    # As many effective events or fewer have 2.5 % at the upper limit; found from it, they are the dispersion.
    dispersion = optimize.brentq(lambda d: special.betainc(12 / d + 1, 348 / d, high) - 0.975, 1, 20, xtol=1e-12)
    residuals = events - 1
    carriers = (residuals**2).sum() ** 2 / (residuals**4).sum()
    factor = (stats.t.ppf(0.975, 0.35 * carriers + 2) / stats.norm.ppf(0.975)) ** 2
    variance = (residuals**2).sum() * 12 / 11 / (1 - 12 / 360)
    assert dispersion == pytest.approx((1.5 + variance * factor) / 12.5, rel=1e-6)


def test_more_clustering_is_never_narrower() -> None:
    pixels = np.full(24, 100.0)
    spreads = [np.repeat([each, 0], [12 // each, 24 - 12 // each]) for each in (1, 2, 3, 4, 6, 12)]
    found = [share(events, pixels) for events in spreads]
    assert all(one.value == 12 / 2400 for one in found)
    assert all(one.high < other.high for one, other in pairwise(found))
    assert all(one.low > other.low for one, other in pairwise(found))


def test_more_images_of_the_same_kind_are_narrower() -> None:
    events, pixels = np.array([0.0, 1, 0, 4, 0, 2]), np.array([50.0, 80, 20, 90, 60, 60])
    widths = [
        found.high - found.low for found in (share(np.tile(events, n), np.tile(pixels, n)) for n in (1, 2, 5, 50))
    ]
    assert widths == sorted(widths, reverse=True)
    empty = [share(np.zeros(n * 6), np.tile(pixels, n)).high for n in (1, 2, 5, 50)]
    assert empty == sorted(empty, reverse=True)


def test_neither_the_order_of_images_nor_those_without_a_pixel_matter() -> None:
    rng = np.random.default_rng(4)
    pixels = pixels_of(rng, 20, 50)
    events, _ = events_of(rng, pixels, 8, 3)
    order = rng.permutation(20)
    plain = share(events, pixels)
    np.testing.assert_allclose(share(events[order], pixels[order]), plain, rtol=1e-9)
    more = [np.concatenate([each, np.zeros((7, 50))]) for each in (events, pixels)]
    np.testing.assert_allclose(share(*more), plain, rtol=1e-9)


def test_a_share_and_its_complement_are_mirrored() -> None:
    rng = np.random.default_rng(5)
    pixels = pixels_of(rng, 9, 200)
    events = rng.binomial(pixels.astype(int), rng.beta(1, 1, pixels.shape))
    one, other = share(events, pixels), share(pixels - events, pixels)
    np.testing.assert_allclose(one.low, 1 - other.high, atol=1e-12)
    np.testing.assert_allclose(one.high, 1 - other.low, atol=1e-12)
    assert ((one.low >= 0) & (one.low <= one.value) & (one.value <= one.high) & (one.high <= 1)).all()
    all_of_them = share(np.full(4, 10.0), np.full(4, 10.0))
    assert all_of_them.low == pytest.approx(0.025 ** (3 / 40))
    assert all_of_them.value == all_of_them.high == 1


def test_many_shares_are_each_as_if_alone() -> None:
    rng = np.random.default_rng(6)
    pixels = pixels_of(rng, 12, 600)
    events, _ = events_of(rng, pixels, 5, 3)
    pixels[:, 400], events[:, 400] = 0, 0
    found = share(events, pixels)
    assert all(part.shape == (600,) for part in found)
    for column in (0, 255, 400, 599):
        alone = share(events[:, column], pixels[:, column])
        assert all(np.shape(part) == () for part in alone)
        np.testing.assert_allclose([part[column] for part in found], alone, rtol=1e-12)


def test_a_higher_level_is_wider() -> None:
    events, pixels = np.array([0, 1, 0, 4, 0, 2]), np.full(6, 50)
    for counts in (events, 0 * events):
        narrow, wide = (share(counts, pixels, level=level) for level in (0.5, 0.99))
        assert wide.low <= narrow.low <= narrow.value < narrow.high < wide.high


def test_without_pixels_nothing_is_known_and_of_one_image_no_interval() -> None:
    assert np.isnan(share(np.zeros(3), np.zeros(3))).all()
    for events, pixels in (([0, 3, 0], [0, 10, 0]), ([3], [10]), ([0], [10])):
        found = share(np.array(events), np.array(pixels))
        assert found.value == sum(events) / 10
        assert np.isnan(found.low) and np.isnan(found.high)


def test_images_that_agree_are_no_certainty() -> None:
    found = share(np.array([1, 2, 4]), np.array([10, 20, 40]))
    assert found.low < 0.06 and found.high >= clopper_pearson(7, 70)[1] - 1e-9


def test_many_pixels_in_images_that_agree_are_no_certainty_either() -> None:
    found, (low, high) = share(np.full(3, 1000), np.full(3, 10_000)), clopper_pearson(3000, 30_000)
    assert found.high - 0.1 == pytest.approx(high - 0.1, rel=1e-6)
    # Half the variance of independent pixels is assumed at least.
    assert 0.1 - found.low == pytest.approx((0.1 - low) / 2**0.5, rel=0.02)


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_large_counts_keep_their_digits(scale: float) -> None:
    rng = np.random.default_rng(7)
    pixels = np.full(40, 1000.0)
    events = rng.binomial(1000, rng.beta(3, 7, 40))
    plain, large = share(events, pixels), share(events * scale, pixels * scale)
    np.testing.assert_allclose(large, plain, rtol=2e-3)
