"""Pixels placed on a map: where t-SNE's objective, minimised for each by itself, wants them."""

from typing import Any

import numpy as np
import openTSNE
import pytest
from scipy.optimize import minimize

from psmt_viz.probes import tsne_placing
from psmt_viz.probes.tsne_gradient import GridGradient
from psmt_viz.probes.tsne_placing import place


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(centre, 1, (120, 6)) for centre in rng.normal(0, 3, (4, 6))]).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(features: np.ndarray) -> Any:
    tsne = openTSNE.TSNE(perplexity=15, neighbors="exact", negative_gradient_method=GridGradient(), random_state=0)
    return tsne.fit(features)


def side(fitted: Any) -> float:
    return float(np.ptp(np.asarray(fitted), axis=0).max())


def objective(place: np.ndarray, weights: np.ndarray, anchors: np.ndarray, exaggeration: float = 1.5) -> float:
    """A pixel's KL with exaggerated affinities, but for a constant."""
    q = 1 / (1 + ((place - anchors) ** 2).sum(axis=-1))
    return float(-exaggeration * (weights * np.log(q)).sum() + np.log(q.sum()))


def test_pixels_come_to_rest_in_a_minimum_of_their_own_objective(features: np.ndarray, fitted: Any) -> None:
    asked = features[::9] + 0.05
    places, unsettled = place(fitted, asked, side=side(fitted))
    assert unsettled == 0
    anchors, rows = np.asarray(fitted), fitted.prepare_partial(asked, perplexity=5).P.toarray()
    for found, weights in zip(places, rows, strict=True):
        best = minimize(objective, found, (weights, anchors), method="Nelder-Mead", options={"xatol": 1e-5}).x
        assert np.linalg.norm(best - found) < 0.01 * side(fitted)


def test_a_place_does_not_depend_on_who_else_is_placed(features: np.ndarray, fitted: Any) -> None:
    asked = features[:60] + 0.05
    together, _ = place(fitted, asked, side=side(fitted))
    few, _ = place(fitted, asked[10:14], side=side(fitted))
    assert few == pytest.approx(together[10:14], abs=1e-3 * side(fitted))


def test_every_look_is_told_and_those_that_are_not_needed_at_the_end(features: np.ndarray, fitted: Any) -> None:
    told: list[str] = []
    place(fitted, features[:60] + 0.05, side=side(fitted), advance=told.append)
    assert len(told) == tsne_placing.LOOKS
    looks = [int(note.split()[0]) for note in told if note]
    assert looks == sorted(looks, reverse=True)
    assert looks[-1] == 0


def test_the_map_stays_as_it_is(features: np.ndarray, fitted: Any) -> None:
    before, gains = np.array(fitted), np.array(fitted.optimizer.gains)
    place(fitted, features[:30], side=side(fitted))
    assert np.array_equal(before, np.asarray(fitted))
    assert np.array_equal(gains, fitted.optimizer.gains)


def test_pixels_that_have_not_settled_are_counted(
    features: np.ndarray, fitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, _ = place(fitted, features + 0.3, side=side(fitted))
    monkeypatch.setattr(tsne_placing, "LOOKS", 1)
    early, unsettled = place(fitted, features + 0.3, side=side(fitted))
    moving = np.linalg.norm(full - early, axis=1) > 1e-3 * side(fitted)
    assert 0 < moving.sum() <= unsettled <= len(features)


def test_settled_pixels_are_left_out_of_further_iterations(
    features: np.ndarray, fitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    part = tsne_placing._part

    def counted(whole: Any, chosen: np.ndarray) -> Any:
        counts.append(int(chosen.sum()))
        return part(whole, chosen)

    monkeypatch.setattr(tsne_placing, "_part", counted)
    place(fitted, features, side=side(fitted))
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < len(features) / 4
