"""How much of the features' neighbourhoods a map keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 15
CHECKED = 2000
"""Pixels that are asked for their neighbours; all pairwise distances of a large sample would not fit into memory."""


def map_quality(features: NDArray[np.float32], layout: NDArray[np.float64], *, seed: int = 0) -> dict[str, float]:
    """Measures a map by the neighbours of pixels drawn at random, in the features as they were before any reduction.

    Args:
        features: (N, C).
        layout: (N, 2), the same pixels.
        seed: Which pixels are asked.

    Returns:
        `trustworthiness` (1 = whoever is near on the map was near before; among the asked pixels) and `knn_recall`
        (share of a pixel's 15 nearest neighbours among all N that are among its 15 nearest on the map).

    Local Multidimensional Scaling (Venna and Kaski, 2006); kNN recall as in The art of using t-SNE for single-cell
    transcriptomics (Kobak and Berens, 2019).
    """
    asked = np.sort(np.random.default_rng(seed).permutation(len(layout))[:CHECKED])
    few = max(1, min(NEIGHBOURS, (len(asked) - 1) // 2))
    before, after = (_nearest(np.asarray(values), asked) for values in (features, layout))
    kept = [len(np.intersect1d(own, other, assume_unique=True)) for own, other in zip(before, after, strict=True)]
    return {
        "trustworthiness": float(trustworthiness(features[asked], layout[asked], n_neighbors=few)),
        "knn_recall": float(np.mean(kept) / before.shape[1]),
    }


def _nearest(values: NDArray, asked: NDArray[np.int64]) -> NDArray[np.int64]:
    count = min(NEIGHBOURS, len(values) - 1)
    found = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(values).kneighbors(values[asked])[1]
    # A pixel is no neighbour of itself; where it is not found, because of its doubles, the farthest one goes.
    own = found == asked[:, None]
    own[~own.any(axis=1), -1] = True
    return found[~own].reshape(len(asked), count)
