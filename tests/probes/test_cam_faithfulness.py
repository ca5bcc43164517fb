"""Removal in a map's order, against loops over pixels, and what good and bad maps score."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from psmt_viz.probes.cam_faithfulness import SHARES, faithfulness, filled_in

RED = torch.tensor([0.9, 0.1, 0.1])


def scene(height: int = 33, width: int = 40) -> tuple[Tensor, np.ndarray]:
    """A red object on a grey, noisy ground."""
    image = 0.4 + 0.1 * torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    mask = np.zeros((height, width), bool)
    mask[8:20, 12:28] = True
    image[:, torch.from_numpy(mask)] = RED[:, None]
    return image, mask


def redness(mask: np.ndarray) -> Any:
    """A network that sees red: its mean probability over the mask."""

    def probability(images: Tensor) -> Tensor:
        red = torch.sigmoid(20 * (images[:, 0] - images[:, 1] - 0.4))
        return red[:, torch.from_numpy(mask)].mean(dim=1)

    return probability


def loops(image: np.ndarray, keep: np.ndarray, level: int = 0) -> np.ndarray:
    """Means of the known pixels over cells of 2 ** level pixels, filled in from larger cells where there are none."""
    side = 2**level
    shape = [math.ceil(length / side) for length in keep.shape]
    values, known = np.zeros((len(image), *shape)), np.zeros(shape, bool)
    for row in range(shape[0]):
        for col in range(shape[1]):
            place = np.s_[side * row : side * (row + 1), side * col : side * (col + 1)]
            known[row, col] = keep[place].any()
            if known[row, col]:
                values[:, row, col] = image[:, *place][:, keep[place]].mean(axis=1)
    if known.all():
        return values
    coarse = loops(image, keep, level + 1)
    for row, col in np.argwhere(~known):
        values[:, row, col] = _between(coarse, row, col, known.shape)
    return values


def _between(coarse: np.ndarray, row: int, col: int, shape: tuple[int, ...]) -> np.ndarray:
    """A cell's value from cells of twice its side, bilinearly, as they lie over the same ground."""
    total = 0
    places = []
    for position, length, cells in zip((row, col), shape, coarse.shape[1:], strict=True):
        at = max(0.0, (position + 0.5) * cells / length - 0.5)
        low = min(int(at), cells - 1)
        places.append([(low, 1 - (at - low)), (min(low + 1, cells - 1), at - low)])
    for y, first in places[0]:
        for x, second in places[1]:
            total = total + first * second * coarse[:, y, x]
    return total


@pytest.mark.parametrize("shape", [(16, 16), (16, 24)])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9])
def test_filling_is_that_of_the_loops(shape: tuple[int, int], kept: float) -> None:
    random = np.random.default_rng(int(100 * kept))
    image, keep = random.random((3, *shape)), random.random((2, *shape)) < kept
    keep[:, 5, 7] = True
    found = filled_in(torch.from_numpy(image), torch.from_numpy(keep))
    for index in range(2):
        np.testing.assert_allclose(found[index].numpy(), loops(image, keep[index]), atol=1e-12)


def test_filling_keeps_what_is_kept_and_never_leaves_its_range() -> None:
    image, mask = scene()
    keep = torch.from_numpy(~mask)[None]
    found = filled_in(image, keep)[0]
    assert torch.equal(found[:, keep[0]], image[:, keep[0]])
    assert found[:, torch.from_numpy(mask)].min() >= 0.4  # nothing of the red object shines through
    assert found[:, torch.from_numpy(mask)].max() <= 0.5 + 1e-6
    one = torch.zeros(1, 33, 40, dtype=torch.bool)
    one[0, 3, 4] = True
    assert torch.allclose(filled_in(image, one), image[:, 3, 4][None, :, None, None].expand(1, 3, 33, 40))


def test_the_measure_is_the_mean_gap_between_least_and_most_relevant_first() -> None:
    image, mask = scene()
    relevance = np.random.default_rng(1).permutation(mask.size).reshape(mask.shape).astype(np.float32)
    gaps = []
    for share in SHARES:
        count = round(share * mask.size)
        p = [
            float(redness(mask)(filled_in(image, torch.from_numpy(keep)[None])))
            for keep in (relevance >= count, relevance < mask.size - count)
        ]
        gaps.append(p[0] - p[1])
    assert faithfulness(redness(mask), image, relevance) == pytest.approx(np.mean(gaps), abs=1e-6)
    first = faithfulness(redness(mask), image, relevance, shares=(0.5,))
    assert first == pytest.approx(gaps[1], abs=1e-6)


def test_good_maps_score_high_random_ones_nothing_and_reversed_ones_below() -> None:
    image, mask = scene()
    p = redness(mask)
    rows, cols = np.mgrid[: mask.shape[0], : mask.shape[1]]
    good = np.exp(-(((rows - 13.5) / 8) ** 2) - ((cols - 19.5) / 10) ** 2).astype(np.float32)
    random = np.random.default_rng(0)
    noise = []
    for _ in range(20):
        coarse = torch.from_numpy(random.random((1, 1, 5, 6), dtype=np.float32))
        noise.append(torch.nn.functional.interpolate(coarse, size=mask.shape, mode="bilinear")[0, 0].numpy())
    scores = {"good": faithfulness(p, image, good), "reversed": faithfulness(p, image, 1 - good)}
    scores["mask"] = faithfulness(p, image, mask.astype(np.float32))
    chance = [faithfulness(p, image, each) for each in noise]
    assert scores["good"] > 0.6
    assert scores["mask"] > 0.4
    assert scores["reversed"] == pytest.approx(-scores["good"], abs=0.02)
    assert abs(np.mean(chance)) < 0.15
    assert max(chance) < scores["good"]


def test_only_the_order_counts() -> None:
    image, mask = scene()
    relevance = np.random.default_rng(1).random(mask.shape).astype(np.float32)
    once = faithfulness(redness(mask), image, relevance)
    assert faithfulness(redness(mask), image, (1e-4 * relevance**3).astype(np.float64)) == once
    assert faithfulness(redness(mask), image, -relevance) != once


def test_equal_pixels_are_ordered_by_the_seed_alone_in_patches() -> None:
    image, mask = scene()
    flat = np.ones(mask.shape, np.float32)
    state = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    scores = {seed: faithfulness(redness(mask), image, flat, seed=seed) for seed in range(12)}
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == state  # noqa: NPY002
    assert {seed: faithfulness(redness(mask), image, flat, seed=seed) for seed in range(12)} == scores
    assert len(set(scores.values())) == 12
    assert abs(np.mean(list(scores.values()))) < 0.2
    # Single pixels taken out at random leave so much around them that nothing changes; patches do change something.
    assert np.std(list(scores.values())) > 0.1


def test_a_map_without_evidence_has_no_score() -> None:
    image, mask = scene()
    assert math.isnan(faithfulness(redness(mask), image, np.zeros(mask.shape, np.float32)))
