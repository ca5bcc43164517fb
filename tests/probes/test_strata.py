"""Distances to the nearest other class and bins of confidence, against brute force and by hand."""

import math

import numpy as np
import pytest
import torch

from psmt_viz.probes.strata import (
    CONFIDENCE_EDGES,
    DISTANCE_EDGES,
    bins_of,
    confidence_bins,
    distance_bins,
    distance_to_other,
)


def brute_force(labels: np.ndarray) -> np.ndarray:
    """Looks at every pair of pixels."""
    distance = np.full(labels.shape, np.nan)
    for (row, col), own in np.ndenumerate(labels):
        if own == 255:
            continue
        others = np.argwhere((labels != own) & (labels != 255))
        squares = ((others - (row, col)) ** 2).sum(axis=1)
        distance[row, col] = math.sqrt(squares.min()) if len(squares) else math.inf
    return distance


@pytest.mark.parametrize("seed", range(6))
def test_distance_equals_a_look_at_every_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.full((int(rng.integers(8, 26)), int(rng.integers(8, 26))), 3)
    for value in (0, 7, 0, 255):  # a class in two parts, and void inside and between them
        row, col = rng.integers(0, 8, 2)
        labels[row : row + rng.integers(1, 6), col : col + rng.integers(1, 6)] = value
    np.testing.assert_allclose(distance_to_other(labels), brute_force(labels), rtol=1e-12)


def test_void_is_no_neighbour_and_has_no_distance() -> None:
    labels = np.array([[1, 1, 255, 255, 2]])
    np.testing.assert_array_equal(distance_to_other(labels), [[4, 3, np.nan, np.nan, 3]])
    np.testing.assert_array_equal(distance_bins(torch.from_numpy(labels)[None]), [[[2, 2, 0, 0, 2]]])


def test_a_single_class_is_infinitely_far_from_others() -> None:
    labels = np.array([[4, 4], [255, 4]])
    np.testing.assert_array_equal(distance_to_other(labels), [[np.inf, np.inf], [np.nan, np.inf]])
    last = len(DISTANCE_EDGES) - 1
    np.testing.assert_array_equal(distance_bins(torch.from_numpy(labels)[None]), [[[last, last], [0, last]]])


def test_void_alone_has_no_distance() -> None:
    labels = np.full((2, 3), 255)
    assert np.isnan(distance_to_other(labels)).all()
    assert (distance_bins(torch.from_numpy(labels)[None]) == 0).all()


def test_each_distance_lies_in_its_bin() -> None:
    labels = torch.zeros(1, 3, 60, dtype=torch.int64)
    labels[..., 0] = 1  # so that column c is c away from it
    bins = bins_of(DISTANCE_EDGES, math.inf)
    for column, index in enumerate(distance_bins(labels)[0, 1].tolist()):
        low, high = bins[index]
        assert low <= max(column, 1) < high
    assert {bins[index] for index in distance_bins(labels)[0, 1].tolist()} == set(bins)


def test_bins_join_without_gaps() -> None:
    for edges, top in ((DISTANCE_EDGES, math.inf), (CONFIDENCE_EDGES, 1.0)):
        bins = bins_of(edges, top)
        assert [low for low, _ in bins] == list(edges)
        assert [high for _, high in bins] == [*edges[1:], top]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_confidence_bins_hold_their_lower_edge_and_the_last_holds_1(dtype: torch.dtype) -> None:
    edges = torch.tensor(CONFIDENCE_EDGES, dtype=dtype)
    below = torch.nextafter(edges[1:], torch.zeros((), dtype=dtype))
    assert confidence_bins(edges).tolist() == list(range(8))
    assert confidence_bins(below).tolist() == list(range(7))
    assert confidence_bins(torch.tensor([[0.3, 0.97], [0.995, 1.0]], dtype=dtype)).tolist() == [[0, 6], [7, 7]]
