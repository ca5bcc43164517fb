"""The smallest keys of a stream, in whatever parts it comes."""

import numpy as np
import pytest

from psmt_viz.probes.reservoir import Smallest


def rows_of(keys: np.ndarray) -> dict[str, np.ndarray]:
    return {"key": keys, "place": (keys * 1e6).astype(int), "pair": np.stack([keys, -keys], axis=1)}


@pytest.mark.parametrize("quota", [1, 17, 400])
def test_the_smallest_keys_win_in_whatever_order_they_come(quota: int) -> None:
    rng = np.random.default_rng(0)
    keys = rng.random(1000)
    for _ in range(10):
        smallest = Smallest(quota)
        for part in np.array_split(rng.permutation(keys), np.sort(rng.integers(0, 1000, 9))):
            chosen = smallest.candidates(part)
            assert len(chosen) <= quota  # memory is bounded by the quota
            smallest.add(rows_of(part[chosen]))
        assert smallest.seen == 1000
        found = {name: smallest.pop(name) for name in ("place", "pair", "key")}
        assert np.array_equal(found["key"], np.sort(keys)[:quota])
        # Columns stay together, a row's parts and all.
        assert np.array_equal(found["place"], (found["key"] * 1e6).astype(int))
        assert np.array_equal(found["pair"], np.stack([found["key"], -found["key"]], axis=1))


def test_fewer_than_the_quota_are_all_kept() -> None:
    smallest = Smallest(10)
    for part in (np.array([0.5, 0.1]), np.array([]), np.array([0.3])):
        smallest.add(rows_of(part[smallest.candidates(part)]))
    assert smallest.pop("key").tolist() == [0.1, 0.3, 0.5]
    assert smallest.seen == 3


def test_rows_added_without_asking_compete_too() -> None:
    smallest = Smallest(2)
    smallest.add(rows_of(np.array([0.9, 0.8, 0.7])))
    smallest.add(rows_of(np.array([0.1])))
    assert smallest.pop("place").tolist() == [100000, 700000]
