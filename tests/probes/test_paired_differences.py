"""Differences of two shares of the same pixels: right without, with few and with many pixels on which they differ."""

import numpy as np
import pytest
from scipy import stats

from psmt_viz.probes.shares import paired_difference, share
from tests.probes.clustered import coverage, gamma_poisson, pixels_of

CASES = [(12, 0.5, 1), (12, 3, 3), (12, 10, 10), (12, 30, 10), (64, 3, 10), (64, 300, 3), (175, 1, 3), (175, 30, 10)]
"""Images, expected pixels on which the kinds differ, variance over mean of an image's."""


@pytest.mark.parametrize("first", [0.5, 0.75, 0.9], ids=["no difference", "small", "large"])
@pytest.mark.parametrize(("images", "differing", "dispersion"), CASES)
def test_covers_the_true_difference(images: int, differing: float, dispersion: float, first: float) -> None:
    rng = np.random.default_rng(1)
    pixels = pixels_of(rng, images, 6000)
    rate = differing / pixels.sum(axis=0)
    # Most flips are common to both kinds, and come in clusters too.
    common, one, other = (gamma_poisson(rng, part * rate * pixels, dispersion) for part in (5, first, 1 - first))
    found = paired_difference(common + one, common + other, pixels)
    covered = coverage(found, (2 * first - 1) * rate)
    assert covered >= 0.93
    assert covered <= 0.99 or differing < 10


def slow(net: list[float], size: float) -> tuple[float, float]:
    """The interval of differences `net` of images with `size` pixels each, from its definition, step by step."""
    images = len(net)
    total, mean = images * size, sum(net) / images
    squares = [(each - mean) ** 2 for each in net]
    more, fewer = sum(max(each, 0) for each in net), sum(max(-each, 0) for each in net)
    both = more + fewer
    balance = 1 - abs(more - fewer) / both
    few = min(2 + (0.35 + balance) * sum(squares) ** 2 / sum(each**2 for each in squares), images - 1)
    variance = sum(squares) * images / (images - 1)
    normal = stats.norm.ppf(0.975)
    upper, lower = (variance * (stats.t.ppf(0.975, degrees) / normal) ** 2 for degrees in (few, images - 1))
    unseen = min(3, max(1, (0.5 * 3 + lower / (1 - both / (2 * total))) / (0.5 + both)))

    def limits(count: float) -> tuple[float, float]:
        part, others = count / both, 1 - count / total
        dispersion = max(1, (0.5 * unseen + part * upper / others) / (0.5 + count))
        many = (both / dispersion) ** 2
        extra = 1 - balance * many / (1 + many)
        high = stats.beta.ppf(0.975, count / dispersion + extra, (total - count) / dispersion + 1 - extra)
        if not count:
            return 0, high
        dispersion = max(0.5, (8 + part * lower / others) / (8 + count))
        shift = 0.5 / (1 + (dispersion / count) ** 2)
        return stats.beta.ppf(0.025, count / dispersion + shift, (total - count) / dispersion + 1 - shift), high

    first, second = more / total, fewer / total
    (low, high), (low2, high2) = limits(more), limits(fewer)
    return (
        first - second - ((first - low) ** 2 + (high2 - second) ** 2) ** 0.5,
        first - second + ((high - first) ** 2 + (second - low2) ** 2) ** 0.5,
    )


@pytest.mark.parametrize(
    "net",
    [
        [1, 0, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0],  # all in one direction, and not clustered
        [1, 0, 1, 0, 1, 1, 0, -1, 1, 1, 0, 0],
        [5, 0, -3, 0, 0, 2, 0, -4, 1, 0, 0, 0],
        [0, 0, 0, -9, 0, 0, 1, 0],
    ],
)
def test_equals_its_definition_step_by_step(net: list[float]) -> None:
    values = np.array(net, float)
    found = paired_difference(np.maximum(values, 0), np.maximum(-values, 0), np.full(len(net), 60))
    np.testing.assert_allclose([found.low, found.high], slow(net, 60), rtol=1e-9)


def test_what_is_common_cancels() -> None:
    rng = np.random.default_rng(2)
    pixels = pixels_of(rng, 15, 40)
    common, one, other = (gamma_poisson(rng, pixels / 400, 3) for _ in range(3))
    np.testing.assert_allclose(
        paired_difference(common + one, common + other, pixels), paired_difference(one, other, pixels), rtol=1e-12
    )


def test_two_kinds_that_never_differ_may_differ_by_as_much_as_no_event() -> None:
    events, pixels = np.array([3, 0, 1, 0]), np.full(4, 200)
    found = paired_difference(events, events, pixels)
    assert found.value == 0
    assert found.high == -found.low == pytest.approx(1 - 0.025 ** (3 / 800), rel=1e-9)
    assert found.high == share(0 * events, pixels).high


def test_exchanging_the_kinds_mirrors_the_interval() -> None:
    rng = np.random.default_rng(3)
    pixels = pixels_of(rng, 10, 100)
    one, other = (gamma_poisson(rng, pixels / 3000, 3) for _ in range(2))
    found, mirrored = paired_difference(one, other, pixels), paired_difference(other, one, pixels)
    np.testing.assert_allclose(found.low, -mirrored.high, rtol=1e-12)
    np.testing.assert_allclose(found.value, -mirrored.value, rtol=1e-12)
    assert ((found.low <= found.value) & (found.value <= found.high)).all()


def test_many_differing_pixels_have_students_interval() -> None:
    rng = np.random.default_rng(4)
    pixels = np.full(3000, 1000.0)
    one, other = (gamma_poisson(rng, pixels / 20, 6) for _ in range(2))
    found, net = paired_difference(one, other, pixels), (one - other) / 1000
    low, high = stats.t.interval(0.95, 2999, net.mean(), stats.sem(net))
    np.testing.assert_allclose([found.low, found.high], [low, high], atol=0.04 * (high - low))


def test_pairing_is_worth_it_and_a_difference_that_is_there_is_found() -> None:
    rng = np.random.default_rng(5)
    pixels = pixels_of(rng, 64, 200)
    common, one, other = (gamma_poisson(rng, pixels * rate, 3) for rate in (0.1, 0.02, 0.01))
    found = paired_difference(common + one, common + other, pixels)
    assert np.mean(found.low > 0) > 0.95
    alone = share(common + one, pixels)
    assert np.median(found.high - found.low) < np.median(alone.high - alone.low)


def test_one_pixel_of_difference_is_not_a_difference() -> None:
    pixels = np.full(30, 100)
    found = paired_difference(np.eye(30)[3], np.zeros(30), pixels)
    assert found.low < 0 < 1 / 3000 == found.value < found.high


def test_bounds_and_what_is_not_known() -> None:
    found = paired_difference(np.array([1, 2, 3]), np.zeros(3), np.array([1, 2, 3]))
    assert -1 <= found.low < found.value == found.high == 1
    assert np.isnan(paired_difference(np.zeros(3), np.zeros(3), np.zeros(3))).all()
    one = paired_difference(np.array([2]), np.array([1]), np.array([10]))
    assert one.value == 0.1 and np.isnan(one.low) and np.isnan(one.high)


def test_many_differences_are_each_as_if_alone() -> None:
    rng = np.random.default_rng(6)
    pixels = pixels_of(rng, 12, 300)
    one, other = (gamma_poisson(rng, pixels / 2000, 3) for _ in range(2))
    found = paired_difference(one, other, pixels)
    for column in (0, 17, 299):
        alone = paired_difference(one[:, column], other[:, column], pixels[:, column])
        np.testing.assert_allclose([part[column] for part in found], alone, rtol=1e-12)
