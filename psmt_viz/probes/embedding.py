"""The t-SNE map of correctly predicted pixels, on which the perturbations move them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import openTSNE
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.models.psmt import PSMT
from psmt_viz.probes.pixels import PANELS, Layer, PixelSample, sample_pixels
from psmt_viz.results import PixelEmbedding
from psmt_viz.seeds import derived_seed

_PCA_DIMENSIONS = 50
_CHECKED = 2000
"""Pixels on which trustworthiness and placement are measured; the full set would need all pairwise distances."""


def embed_pixels(
    bundle: PSMT,
    data: SegmentationData,
    *,
    n_pixels: int = 25_000,
    classes: Sequence[str] = (),
    eps: float = 2.0,
    layer: Layer = "z",
    perplexity: float = 30.0,
    seed: int = 0,
    jobs: int = 1,
    device: str = "cpu",
    parameters: dict[str, Any] | None = None,
) -> tuple[PixelEmbedding, dict[str, float]]:
    """Lays pixels out by t-SNE before the perturbation and places the perturbed ones on the same, frozen map.

    Args:
        bundle: Networks with teachers.
        data: The data set; validation images are used.
        n_pixels: How many pixels, equally many of each class.
        classes: Names of the classes; left out, the five with most correct pixels.
        eps: Norm of the perturbations.
        layer: Whose features (see `sample_pixels`).
        perplexity: Effective number of neighbours; lowered where there are too few pixels.
        seed: Decides pixels, searches and layout.
        jobs: Threads of openTSNE.
        device: Where the networks are.
        parameters: Facts to keep with the result.

    Returns:
        The embedding, and the seconds spent in `sampling` and in `layout` (kept apart, since equal inputs give equal
        results but never equal times).

    Raises:
        UserError: see `sample_pixels`.

    Supplement Fig. 2 of PS-MT (Liu et al., 2022); openTSNE (Policar et al., 2024).
    """
    if not (math.isfinite(perplexity) and perplexity >= 1):
        raise UserError("--perplexity of 1 or more", f"{perplexity}", "raise it; 30 is usual")
    if jobs == 0:
        raise UserError("--jobs of 1 or more, or -1 for all cores", f"{jobs}", "choose one of these")
    start = time.perf_counter()
    sample = sample_pixels(
        bundle, data, pixels=n_pixels, classes=classes, eps=eps, layer=layer, seed=seed, device=device
    )
    sampled = time.perf_counter()
    coordinates, used = _layout(sample, perplexity, derived_seed(seed, "tsne") % 2**32, jobs)
    seconds = {"sampling": sampled - start, "layout": time.perf_counter() - sampled}
    pixels = pd.DataFrame(
        {
            "image": np.asarray(sample.image_ids, dtype=object)[sample.image],
            "row": sample.row,
            "col": sample.col,
            "label": sample.label,
            **{f"pred_{panel}": sample.prediction[panel] for panel in PANELS},
            **{f"{axis}_{p}": coordinates[p][:, i] for p in PANELS for i, axis in enumerate("xy")},
        }
    )
    flipped = {p: int((sample.prediction[p] != sample.label).sum()) for p in PANELS}
    facts = {
        "n_pixels": n_pixels,
        "classes": [bundle.classes[label] for label in np.unique(sample.label)],
        "correct_pixels": sample.correct_pixels,
        "eps": eps,
        "relative_norm": sample.relative_norm,
        "layer": layer,
        "seed": seed,
        "flipped": flipped,
        "flip_rate": {panel: count / n_pixels for panel, count in flipped.items()},
        "perplexity_asked": perplexity,
        **used,
        **(parameters or {}),
    }
    return PixelEmbedding(pixels=pixels, classes=bundle.classes, parameters=facts), seconds


def _layout(
    sample: PixelSample, perplexity: float, seed: int, jobs: int
) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
    clean = sample.features["clean"]
    used = min(perplexity, (len(clean) - 1) / 3)
    pca = PCA(min(_PCA_DIMENSIONS, *clean.shape), random_state=seed).fit(clean)
    reduced = {panel: pca.transform(values) for panel, values in sample.features.items()}
    tsne = openTSNE.TSNE(perplexity=used, neighbors="exact", random_state=seed, n_jobs=jobs)
    fitted = tsne.fit(reduced["clean"])
    coordinates = {panel: np.asarray(fitted.transform(reduced[panel])) for panel in ("vat", "tvat")}
    # After `transform`, which centres the map that it is given; before it, the panels would not share an origin.
    coordinates["clean"] = np.array(fitted)
    checked = np.random.default_rng(seed).permutation(len(clean))[:_CHECKED]
    again = np.asarray(fitted.transform(reduced["clean"][checked]))
    extent = np.ptp(coordinates["clean"], axis=0).max()
    facts = {
        "perplexity": used,
        "pca_dimensions": int(pca.n_components_),
        "pca_variance": float(pca.explained_variance_ratio_.sum()),
        "kl_divergence": float(fitted.kl_divergence),
        "trustworthiness": _trustworthiness(reduced["clean"][checked], coordinates["clean"][checked]),
        # How far an unmoved pixel lands from itself: no move below this is news.
        "placement_error": float(np.median(np.linalg.norm(again - coordinates["clean"][checked], axis=1)) / extent),
        "median_move": {
            p: float(np.median(np.linalg.norm(coordinates[p] - coordinates["clean"], axis=1)) / extent)
            for p in ("vat", "tvat")
        },
    }
    return coordinates, facts


def _trustworthiness(features: NDArray[np.float32], layout: NDArray[np.float64]) -> float:
    return float(trustworthiness(features, layout, n_neighbors=max(1, min(15, (len(layout) - 1) // 2))))
