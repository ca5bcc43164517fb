"""Three ways to lay pixels out before and after the perturbations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import openTSNE
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from psmt_viz.kinds import CLEAN
from psmt_viz.probes.settings import TsneSettings
from psmt_viz.probes.tsne_gradient import GridGradient
from psmt_viz.probes.tsne_neighbors import EXACT_UP_TO, HierarchicalGraph
from psmt_viz.probes.tsne_placing import LOOKS, Coordinates, place
from psmt_viz.progress import progress

Facts = dict[str, Any]
_PCA_DIMENSIONS = 50
_TELL_EVERY = 50
"""Iterations between two signs of progress; each evaluates the divergence, which changes no place."""


def lay_out(
    features: Mapping[str, NDArray[np.float32]], settings: TsneSettings, *, seed: int
) -> tuple[dict[str, Coordinates], Facts, Facts]:
    """Places every pixel of every panel on a map.

    Features are reduced to their first 50 principal components before; those of `separate` each to its own.

    Args:
        features: Panel -> (N, C), the same pixels in each; `clean` first.
        settings: The layout: `frozen` fits a map to the clean pixels and places the perturbed ones on it, so that a
            moved point means a moved feature; `joint` fits one map to all; `separate` fits one map per panel, whose
            axes have nothing to do with each other. And perplexity, lowered where there are too few pixels, neighbors
            (`exact`; `approx`, see `HierarchicalGraph`; or `auto`, exact up to 50,000 pixels) and jobs.
        seed: Of the layout.

    Returns:
        Panel -> (N, 2); what was used: perplexity, pca_dimensions, neighbors, iterations; and what was measured:
        pca_variance, kl_divergence, and for `frozen` placement_error and, by panel, unsettled: the pixels that had not
        come to rest (see `place`).

    openTSNE (Policar et al., 2024), with the gradient of `GridGradient`.
    """
    make = _Maker(settings, seed)
    if settings.layout == "frozen":
        return _frozen(features, make)
    if settings.layout == "joint":
        coordinates, used, measured = make.fit(np.concatenate(list(features.values())))
        return dict(zip(features, np.split(coordinates, len(features)), strict=True)), used, measured
    made = {panel: make.fit(values) for panel, values in features.items()}
    _, used, measured = made[CLEAN]
    return {panel: coordinates for panel, (coordinates, *_) in made.items()}, used, measured


class _Maker:
    """Fits maps with one choice of settings."""

    def __init__(self, settings: TsneSettings, seed: int) -> None:
        self._settings, self.seed = settings, seed

    def reduce(self, features: NDArray[np.float32]) -> PCA:
        """Returns the principal components, which `transform` needs again."""
        return PCA(min(_PCA_DIMENSIONS, *features.shape), random_state=self.seed).fit(features)

    def tsne(self, reduced: NDArray[np.float32], pca: PCA) -> tuple[openTSNE.TSNEEmbedding, Facts, Facts]:
        """Returns openTSNE's embedding, what was used and what was measured."""
        count, jobs = len(reduced), self._settings.jobs
        perplexity = min(self._settings.perplexity, (count - 1) / 3)
        neighbors = self._settings.neighbors
        if neighbors == "auto":
            neighbors = "exact" if count <= EXACT_UP_TO else "approx"
        nearest: str | HierarchicalGraph = neighbors
        if neighbors == "approx":
            each = min(count - 1, int(3 * perplexity))
            nearest = HierarchicalGraph(reduced, each, n_jobs=jobs, random_state=self.seed)
        tsne = openTSNE.TSNE(
            perplexity=perplexity,
            neighbors=nearest,
            negative_gradient_method=GridGradient(workers=jobs),
            random_state=self.seed,
            n_jobs=jobs,
            metric="euclidean",
            callbacks_every_iters=_TELL_EVERY,
        )
        iterations = tsne.early_exaggeration_iter + tsne.n_iter
        with progress("lay out pixels", -(-iterations // _TELL_EVERY)) as advance:
            tsne.callbacks = lambda _iteration, error, _embedding: advance(f"KL divergence {error:.2f}")
            fitted = tsne.fit(reduced)
        used = {
            "perplexity": perplexity,
            "pca_dimensions": int(pca.n_components_),
            "neighbors": neighbors,
            "iterations": iterations,
        }
        measured = {
            "pca_variance": float(pca.explained_variance_ratio_.sum()),
            "kl_divergence": float(fitted.kl_divergence),
        }
        return fitted, used, measured

    def fit(self, features: NDArray[np.float32]) -> tuple[Coordinates, Facts, Facts]:
        """Returns (N, 2), what was used and what was measured."""
        pca = self.reduce(features)
        fitted, used, measured = self.tsne(pca.transform(features), pca)
        return np.array(fitted), used, measured


def _frozen(features: Mapping[str, NDArray[np.float32]], make: _Maker) -> tuple[dict[str, Coordinates], Facts, Facts]:
    pca = make.reduce(features[CLEAN])
    reduced = {panel: pca.transform(values) for panel, values in features.items()}
    fitted, used, measured = make.tsne(reduced[CLEAN], pca)
    coordinates = {CLEAN: np.array(fitted)}
    unsettled: dict[str, int] = {}
    side = extent(coordinates[CLEAN])
    with progress("place pixels", LOOKS * len(features)) as advance:
        for panel in features:
            if panel != CLEAN:
                coordinates[panel], unsettled[panel] = place(fitted, reduced[panel], side=side, advance=advance)
        # How far an unmoved pixel lands from itself: no move below this is news.
        checked = np.random.default_rng(make.seed).permutation(len(reduced[CLEAN]))[:2000]
        again, _ = place(fitted, reduced[CLEAN][checked], side=side, advance=advance)
    away = np.linalg.norm(again - coordinates[CLEAN][checked], axis=1)
    measured |= {"placement_error": float(np.median(away) / side), "unsettled": unsettled}
    return coordinates, used, measured


def extent(coordinates: Coordinates) -> float:
    """Returns the longer side of a map."""
    return float(np.ptp(coordinates, axis=0).max())
