"""The interval against a loop that resamples images one by one, and against what it promises."""

import numpy as np
import pytest

from psmt_viz.probes.bootstrap import ratio_interval
from psmt_viz.seeds import derived_seed


def clusters(rng: np.random.Generator, images: int, rate: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Flips among correct pixels whose rate differs from image to image: Beta of mean `rate`, then binomial."""
    pixels = rng.integers(200, 2000, images)
    own = rng.beta(rate / spread, (1 - rate) / spread, images)
    return rng.binomial(pixels, own).astype(float), pixels.astype(float)


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_equals_a_loop_that_resamples_images_one_by_one(level: float) -> None:
    flipped, correct = clusters(np.random.default_rng(1), 25, 0.1, 0.02)
    count, draws, seed = len(correct), 400, 7
    # The same generator; each of its draws says how often each image is taken.
    rng = np.random.default_rng(derived_seed(seed, "bootstrap"))
    ratios = []
    for _ in range(draws):
        times = rng.multinomial(count, [1 / count] * count)
        taken = [index for index, often in enumerate(times) for _ in range(often)]
        assert len(taken) == count
        ratios.append(sum(flipped[i] for i in taken) / sum(correct[i] for i in taken))
    ratios.sort()
    low, high = ratio_interval(flipped, correct, level=level, draws=draws, seed=seed)
    tail = (1 - level) / 2
    assert low == pytest.approx(percentile(ratios, tail), rel=1e-12)
    assert high == pytest.approx(percentile(ratios, 1 - tail), rel=1e-12)


def percentile(ordered: list[float], share: float) -> float:
    """Linear interpolation between order statistics."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def test_agrees_with_resampling_by_index() -> None:
    flipped, correct = clusters(np.random.default_rng(2), 40, 0.2, 0.05)
    rng = np.random.default_rng(99)
    ratios = [flipped[i].sum() / correct[i].sum() for i in (rng.integers(0, 40, 40) for _ in range(6000))]
    expected = np.quantile(ratios, [0.025, 0.975])
    found = ratio_interval(flipped, correct, draws=6000)
    assert np.allclose(found, expected, atol=0.05 * np.ptp(expected))


def test_covers_the_truth_about_as_often_as_it_says_and_pixels_alone_would_not() -> None:
    rate, spread = 0.1, 0.03
    rng = np.random.default_rng(3)
    covered = naive = 0
    for seed in range(200):
        flipped, correct = clusters(rng, 40, rate, spread)
        low, high = ratio_interval(flipped, correct, draws=400, seed=seed)
        covered += low <= rate <= high
        share = flipped.sum() / correct.sum()
        half = 1.96 * np.sqrt(share * (1 - share) / correct.sum())
        naive += abs(share - rate) <= half
    assert 0.90 <= covered / 200 <= 0.99
    # What the interval is for: taking pixels as independent covers far too rarely.
    assert naive / 200 < 0.5


def test_a_higher_level_gives_a_wider_interval_around_the_ratio() -> None:
    flipped, correct = clusters(np.random.default_rng(4), 30, 0.1, 0.03)
    narrow, wide = (ratio_interval(flipped, correct, level=level) for level in (0.5, 0.99))
    assert wide[0] < narrow[0] < flipped.sum() / correct.sum() < narrow[1] < wide[1]


def test_is_a_function_of_the_seed() -> None:
    flipped, correct = clusters(np.random.default_rng(5), 10, 0.1, 0.03)
    assert ratio_interval(flipped, correct, seed=1) == ratio_interval(flipped, correct, seed=1)
    assert ratio_interval(flipped, correct, seed=1) != ratio_interval(flipped, correct, seed=2)


@pytest.mark.parametrize(
    ("flipped", "correct", "expected"),
    [
        ([3], [10], (0.3, 0.3)),  # one image: nothing to resample
        ([0, 0, 0], [10, 20, 30], (0, 0)),
        ([10, 20, 30], [10, 20, 30], (1, 1)),
        ([1, 2, 4], [10, 20, 40], (0.1, 0.1)),  # the same rate everywhere
        ([0, 0], [0, 0], (0, 0)),  # no correct pixel at all
    ],
)
def test_degenerate_images(flipped: list[float], correct: list[float], expected: tuple[float, float]) -> None:
    found = ratio_interval(np.array(flipped, float), np.array(correct, float))
    assert found == pytest.approx(expected, abs=1e-12)


def test_images_without_a_correct_pixel_change_neither_ratio() -> None:
    low, high = ratio_interval(np.array([0.0, 5, 0, 5]), np.array([0.0, 10, 0, 10]))
    # Resamples that hold such images alone are counted as 0, and are 1 in 16 here.
    assert low == 0
    assert high == pytest.approx(0.5)
