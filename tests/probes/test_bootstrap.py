"""The interval of a mean against a loop that studentises one resample after another, and against what it promises."""

from typing import Any

import numpy as np
import pytest

from psmt_viz.probes.bootstrap import Bootstrap
from psmt_viz.seeds import derived_seed

LEVEL = 0.95


def slow(values: Any, resamples: list[list[int]], *, level: float = LEVEL) -> tuple[float, float, float]:
    """An Introduction to the Bootstrap (Efron and Tibshirani, 1993), section 12.5, with plain loops."""

    def estimate(images: list[int]) -> tuple[float, float]:
        mean = sum(values[i] for i in images) / len(images)
        return mean, sum((values[i] - mean) ** 2 for i in images) ** 0.5 / len(images)

    value, error = estimate(list(range(len(values))))
    scores = []
    for images in resamples:
        mean, own = estimate(images)
        if own > 0.1 * error:
            scores.append((mean - value) / own)
    scores.sort()
    tail = (1 - level) / 2
    return value, value - percentile(scores, 1 - tail) * error, value - percentile(scores, tail) * error


def percentile(ordered: list[float], share: float) -> float:
    """Linear interpolation between order statistics."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def resamples_of(images: int, draws: int, seed: int) -> list[list[int]]:
    """The same generator; each of its draws says how often each image is taken."""
    rng = np.random.default_rng(derived_seed(seed, "bootstrap"))
    times = [rng.multinomial(images, [1 / images] * images) for _ in range(draws)]
    return [[index for index, often in enumerate(each) for _ in range(often)] for each in times]


def cases() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    rare = np.zeros(25)
    rare[[3, 7, 8]] = 1, 40, 2  # many a resample has only equal images
    return {"nats": rng.lognormal(2, 1, 25), "nearly none": rare, "three images": np.array([1.0, 5, 2])}


@pytest.mark.parametrize("level", [0.95, 0.5])
@pytest.mark.parametrize("case", list(cases()))
def test_equals_a_loop_that_studentises_one_resample_after_another(case: str, level: float) -> None:
    values = cases()[case]
    draws, seed = 400, 7
    expected = slow(values, resamples_of(len(values), draws, seed), level=level)
    assert all(np.isfinite(expected))
    found = Bootstrap(len(values), draws=draws, seed=seed).mean(values, level=level)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


def test_agrees_with_resampling_by_index() -> None:
    values = np.random.default_rng(2).lognormal(2, 0.7, 40)
    rng = np.random.default_rng(99)
    expected = slow(values, [rng.integers(0, 40, 40).tolist() for _ in range(6000)])
    found = Bootstrap(40, draws=6000).mean(values)
    assert np.allclose(found, expected, atol=0.05 * (expected[2] - expected[1]))


@pytest.mark.parametrize("images", [20, 64, 175])
def test_covers_the_mean_of_skewed_amounts(images: int) -> None:
    """KL of the shipped run's images has a standard deviation of 0.2 to 1.0 of its mean; here 0.7."""
    rng = np.random.default_rng(3)
    boot = Bootstrap(images, draws=500)
    sets = [boot.mean(rng.lognormal(0, 0.63, images)) for _ in range(1500)]
    truth = np.exp(0.63**2 / 2)
    assert 0.925 <= np.mean([found.low <= truth <= found.high for found in sets]) <= 0.97


def test_a_higher_level_gives_a_wider_interval_around_the_mean() -> None:
    values = np.random.default_rng(4).lognormal(2, 1, 30)
    narrow, wide = (Bootstrap(30).mean(values, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < values.mean() < narrow.high < wide.high


def test_is_a_function_of_the_seed() -> None:
    values = np.random.default_rng(5).lognormal(2, 1, 10)
    one, same, other = (Bootstrap(10, seed=seed).mean(values) for seed in (1, 1, 2))
    assert one == same
    assert (one.low, one.high) != (other.low, other.high)
    assert one.value == other.value


@pytest.mark.parametrize("scale", [1e-6, 1e9])
def test_units_do_not_matter(scale: float) -> None:
    values = np.random.default_rng(7).lognormal(2, 1, 20)
    boot = Bootstrap(20)
    np.testing.assert_allclose(boot.mean(values * scale), np.array(boot.mean(values)) * scale, rtol=1e-9)


def test_images_that_agree_leave_the_value() -> None:
    for values in ([0, 0, 0], [2, 2, 2]):
        np.testing.assert_allclose(Bootstrap(3).mean(np.array(values)), [values[0]] * 3)


def test_one_image_or_two_that_differ_have_no_interval() -> None:
    for values in ([3], [10, 90]):
        found = Bootstrap(len(values)).mean(np.array(values))
        assert found.value == np.mean(values)
        assert np.isnan(found.low) and np.isnan(found.high)
