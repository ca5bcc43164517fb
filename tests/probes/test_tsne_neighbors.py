"""Approximate neighbours: nearly all of the exact ones, also among equal points, and the same for equal seeds."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from psmt_viz.probes.settings import TsneSettings
from psmt_viz.probes.tsne_map import lay_out
from psmt_viz.probes.tsne_neighbors import HierarchicalGraph


def cloud(count: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 2, (20, 12))
    return (centres[rng.integers(20, size=count)] + rng.normal(0, 0.5, (count, 12))).astype(np.float32)


def graph(points: np.ndarray, k: int = 30, seed: int = 0) -> HierarchicalGraph:
    return HierarchicalGraph(points, k, n_jobs=1, random_state=seed)


def test_nearly_all_neighbours_are_found_with_their_distances() -> None:
    points = cloud()
    indices, distances = graph(points).build()
    exact_distances, exact = NearestNeighbors(n_neighbors=30).fit(points).kneighbors()
    assert indices.shape == distances.shape == (len(points), 30)
    assert not (indices == np.arange(len(points))[:, None]).any()
    recall = np.mean([np.isin(own, found).mean() for own, found in zip(exact, indices, strict=True)])
    assert recall > 0.98
    assert distances == pytest.approx(np.linalg.norm(points[:, None] - points[indices], axis=-1), abs=2e-3)
    assert distances.mean() == pytest.approx(exact_distances.mean(), rel=0.01)


def test_neighbours_of_other_points() -> None:
    points, others = cloud(), cloud()[:200] + 0.1
    index = graph(points)
    index.build()
    indices, distances = index.query(others, 10)
    exact = NearestNeighbors(n_neighbors=10).fit(points).kneighbors(others)[1]
    assert np.mean([np.isin(own, found).mean() for own, found in zip(exact, indices, strict=True)]) > 0.98
    assert distances == pytest.approx(np.linalg.norm(others[:, None] - points[indices], axis=-1), abs=2e-3)


def test_equal_points_do_not_cut_the_others_off() -> None:
    points = np.concatenate([np.zeros((1500, 12), np.float32), cloud(1500)])
    indices, _ = graph(points).build()
    exact = NearestNeighbors(n_neighbors=30).fit(points).kneighbors()[1][1500:]
    found = np.mean([np.isin(own, found).mean() for own, found in zip(exact, indices[1500:], strict=True)])
    assert found > 0.95
    assert np.abs(points[indices[:1500]]).max() == 0


def test_equal_seeds_give_equal_neighbours() -> None:
    points = cloud(1000)
    assert np.array_equal(graph(points, seed=3).build()[0], graph(points, seed=3).build()[0])


@pytest.mark.parametrize(("neighbors", "limit", "used"), [("auto", 100, "approx"), ("auto", 200, "exact")])
def test_auto_is_exact_up_to_a_limit(neighbors: str, limit: int, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psmt_viz.probes.tsne_map.EXACT_UP_TO", limit)
    settings = TsneSettings(neighbors=neighbors, perplexity=10.0)  # type: ignore[arg-type]
    features = {"clean": cloud(150), "vat": cloud(150) + 0.01}
    assert lay_out(features, settings, seed=0)[1]["neighbors"] == used
