"""The gradient with repulsion on a grid, against sums over all pairs, finite differences and openTSNE's own."""

import inspect
from typing import Any

import numpy as np
import pytest
from openTSNE.tsne import kl_divergence_bh, kl_divergence_fft
from scipy import sparse

from psmt_viz.probes import tsne_gradient
from psmt_viz.probes.tsne_gradient import GridGradient

FFT = ("n_interpolation_points", "min_num_intervals", "ints_in_interval")
OTHERS: dict[str, Any] = {"bh_params": {"theta": 0.5}, "fft_params": {}}


def all_pairs(points: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The forces and the sums of q, pair by pair in float64."""
    away = points[:, None] - anchors[None]
    q = 1 / (1 + (away**2).sum(axis=-1))
    return (q[..., None] ** 2 * away).sum(axis=1), q.sum(axis=1)


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def clusters(side: float, count: int = 1500) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.uniform(-side / 2, side / 2, (12, 2))
    return centres[rng.integers(12, size=count)] + rng.normal(0, side / 30, (count, 2))


def affinities(count: int, others: int | None = None) -> sparse.csr_matrix:
    """Some symmetric affinities of points among each other, or a distribution per row over other points."""
    rng = np.random.default_rng(1)
    rows = np.repeat(np.arange(count), 5)
    columns = rng.integers(others or count, size=5 * count)
    if others is None:
        columns = (rows + rng.integers(1, count, size=5 * count)) % count  # no point is its own neighbour
    values = sparse.csr_matrix((rng.random(5 * count), (rows, columns)), shape=(count, others or count))
    if others is None:
        values = values + values.T
        return (values / values.sum()).tocsr()
    return sparse.csr_matrix(sparse.diags(1 / np.asarray(values.sum(axis=1)).ravel()) @ values)


def exact_kl(points: np.ndarray, p: np.ndarray) -> float:
    q = 1 / (1 + ((points[:, None] - points[None]) ** 2).sum(axis=-1))
    np.fill_diagonal(q, 0)
    known = p > 0
    return float((p[known] * np.log(p[known] / (q / q.sum())[known])).sum())


@pytest.mark.parametrize("side", [1, 100, 1000])
def test_few_points_may_lie_far_apart(side: float) -> None:
    """Z is then tiny beside the N pairs of a point with itself, and of the wrong sign if it is not exact."""
    points = np.random.default_rng(3).uniform(-side / 2, side / 2, (10, 2))
    expected, sums = all_pairs(points, points)
    forces, total = GridGradient().repulsion(points)
    assert error(forces, expected) < 1e-6
    assert total == pytest.approx(sums.sum() - len(points), rel=1e-9)
    assert total > 0
    others = points + 0.5
    forces, own = GridGradient().repulsion_from(points, others)
    expected, sums = all_pairs(others, points)
    assert error(forces, expected) < 1e-6
    assert own[:, 0] == pytest.approx(sums)


# At a spacing of 1/2 the interpolation decides; maps of fewer than 32 units have finer grids.
@pytest.mark.parametrize(("side", "allowed"), [(1e-4, 1e-5), (1, 1e-5), (15, 2e-3), (60, 0.03), (200, 0.05)])
def test_forces_and_sum_are_those_of_all_pairs(side: float, allowed: float) -> None:
    points = clusters(side)
    forces, total = GridGradient().repulsion(points)
    exact, sums = all_pairs(points, points)
    # The same force on all points moves the whole map, which openTSNE centres.
    assert error(forces - forces.mean(axis=0), exact - exact.mean(axis=0)) < allowed
    assert total == pytest.approx(sums.sum() - len(points), rel=max(1e-6, allowed / 10))


@pytest.mark.parametrize("side", [1, 40, 200])
def test_forces_of_a_fixed_map_on_points_inside_and_around_it(side: float) -> None:
    anchors, gradient = clusters(side), GridGradient()
    inside = clusters(side)[::7] + side / 300
    around = np.random.default_rng(2).uniform(-side, side, (200, 2))
    for points in (inside, around, inside[:5]):
        forces, totals = gradient.repulsion_from(anchors, points)
        exact, sums = all_pairs(points, anchors)
        assert forces.shape == (len(points), 2)
        assert totals.shape == (len(points), 1)
        assert error(forces, exact) < 0.08
        assert totals[:, 0] == pytest.approx(sums, rel=0.05)


def test_fields_follow_the_map_that_they_belong_to() -> None:
    gradient, points = GridGradient(), clusters(30)[:50]
    anchors = clusters(30)
    gradient.repulsion_from(anchors, points)
    for moved in (anchors * 1.5, anchors):
        assert error(gradient.repulsion_from(moved, points)[0], all_pairs(points, moved)[0]) < 0.02
    anchors += 3  # in place, as openTSNE centres a map
    assert error(gradient.repulsion_from(anchors, points)[0], all_pairs(points, anchors)[0]) < 0.02


def test_a_finer_grid_is_more_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    points = clusters(80)
    exact, _ = all_pairs(points, points)
    errors = []
    for spacing in (0.5, 0.25, 0.125):
        monkeypatch.setattr(tsne_gradient, "_WIDEST_SPACING", spacing)
        errors.append(error(GridGradient().repulsion(points)[0], exact))
    assert errors[1] < errors[0] / 10
    assert errors[2] < errors[1] / 4


def test_the_gradient_is_the_slope_of_kl() -> None:
    points, p = clusters(12, 60), affinities(60)
    kl, gradient = GridGradient()(points, p, should_eval_error=True, **OTHERS)
    dense = p.toarray()
    assert kl == pytest.approx(exact_kl(points, dense), rel=1e-4)
    slopes = np.empty_like(points)
    for place in np.ndindex(*points.shape):
        step = np.zeros_like(points)
        step[place] = 1e-4
        slopes[place] = (exact_kl(points + step, dense) - exact_kl(points - step, dense)) / 2e-4
    assert error(4 * gradient, slopes) < 2e-3  # openTSNE leaves the 4 to the learning rate


@pytest.mark.parametrize("side", [10, 120])
def test_the_gradient_is_that_of_opentsne(side: float) -> None:
    points, p = clusters(side), affinities(1500)
    kl, gradient = GridGradient()(points, p, should_eval_error=True, **OTHERS)
    theirs, exact = kl_divergence_bh(points, p, 1, {"theta": 0.0}, should_eval_error=True)
    interpolated = kl_divergence_fft(points, p, 1, dict(zip(FFT, (3, 50, 1), strict=True)))[1]
    assert error(gradient, exact) < 0.04
    assert error(gradient, exact) < error(interpolated, exact)
    assert kl == pytest.approx(theirs, rel=5e-4)
    assert GridGradient()(points, p, **OTHERS)[0] == 0


def test_points_placed_on_a_map_are_pulled_and_pushed_each_by_itself() -> None:
    anchors, points = clusters(50), clusters(50)[:40] + 0.3
    p = affinities(40, others=1500)
    _, gradient = GridGradient()(points, p, reference_embedding=anchors, should_eval_error=True, **OTHERS)
    away = points[:, None] - anchors[None]
    q = 1 / (1 + (away**2).sum(axis=-1))
    weights = p.toarray() * q - q**2 / q.sum(axis=1, keepdims=True)
    assert error(gradient, (weights[..., None] * away).sum(axis=1)) < 0.02
    _, alone = GridGradient()(points[3:4], p[3:4], reference_embedding=anchors, **OTHERS)
    assert alone[0] == pytest.approx(gradient[3], rel=0.02)


def test_a_map_too_wide_for_a_grid_is_left_to_opentsne_s_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    points, p = clusters(300), affinities(1500)
    monkeypatch.setattr(tsne_gradient, "_MOST", 256)
    own = GridGradient()(points, p, should_eval_error=True, **OTHERS)
    theirs = kl_divergence_bh(points, p, 1, OTHERS["bh_params"], should_eval_error=True)
    assert own[0] == theirs[0]
    assert np.array_equal(own[1], theirs[1])


def test_threads_do_not_change_a_bit() -> None:
    points = clusters(60)
    one, two = (GridGradient(workers=workers).repulsion(points) for workers in (1, 2))
    assert np.array_equal(one[0], two[0])
    assert one[1] == two[1]


def test_points_in_one_place_do_not_push_each_other() -> None:
    forces, total = GridGradient().repulsion(np.full((30, 2), 7.0))
    assert np.abs(forces - forces.mean(axis=0)).max() < 1e-3
    assert total == pytest.approx(30 * 29, rel=1e-4)


def test_opentsne_calls_a_gradient_with_the_names_that_ours_takes() -> None:
    taken = set(inspect.signature(GridGradient.__call__).parameters)
    needed = {"embedding", "P", "dof", "reference_embedding", "n_jobs", "should_eval_error"}
    assert needed <= taken
    assert needed <= set(inspect.signature(kl_divergence_fft).parameters)
