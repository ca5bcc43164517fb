"""The t-SNE map of correctly predicted pixels, on which the perturbations move them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.kinds import CLEAN, PAPER_EPS
from psmt_viz.models.networks import Networks
from psmt_viz.probes.map_quality import map_quality
from psmt_viz.probes.pixels import Layer, PixelSample, sample_pixels
from psmt_viz.probes.shares import share
from psmt_viz.probes.thumbnails import thumbnails
from psmt_viz.probes.tsne_map import Layout, Neighbors, extent, lay_out
from psmt_viz.results import PixelEmbedding, overlap
from psmt_viz.seeds import derived_seed


def tsne(
    networks: Networks,
    data: SegmentationData,
    *,
    n_pixels: int = 25_000,
    classes: Sequence[str] = (),
    eps: float = PAPER_EPS,
    panels: Sequence[str] = (),
    layer: Layer = "z",
    layout: Layout = "frozen",
    margin: float = 0.0,
    perplexity: float = 30.0,
    neighbors: Neighbors = "exact",
    seed: int = 0,
    batch: int = 1,
    jobs: int = 1,
    device: str = "cpu",
    subject: Mapping[str, Any] | None = None,
) -> PixelEmbedding:
    """Lays pixels out by t-SNE before and after the perturbations.

    Args:
        networks: A student, with or without teachers.
        data: The data set; validation images are used.
        n_pixels: How many pixels, equally many of each class.
        classes: Names of the classes. Default: the five with most correct pixels.
        eps: Norm of the perturbations.
        panels: Kinds of perturbation, one panel each after the original. Default: VAT, and T-VAT or, without
            teachers, a random direction.
        layer: Whose features (see `sample_pixels`).
        layout: `frozen`, `joint` or `separate` (see `lay_out`).
        margin: Pixels nearer than this to another class are left out.
        perplexity: Effective number of neighbours; lowered where there are too few pixels.
        neighbors: `exact` or `approx`.
        seed: Decides pixels, searches and layout.
        batch: Images at a time.
        jobs: Threads of openTSNE.
        device: Where the networks are.
        subject: What to say of the networks and the data (see `results.Result`).

    Returns:
        The embedding; its `seconds` are those spent in `sampling`, in `layout` and in `measuring` the map.

    Raises:
        UserError: see `sample_pixels`.

    Supplement Fig. 2 of PS-MT (Liu et al., 2022); openTSNE (Policar et al., 2024).
    """
    if not (math.isfinite(perplexity) and perplexity >= 1):
        raise UserError("--perplexity of 1 or more", f"{perplexity}", "raise it; 30 is usual")
    if jobs == 0:
        raise UserError("--jobs of 1 or more, or -1 for all cores", f"{jobs}", "choose one of these")
    times = [time.perf_counter()]
    sample = sample_pixels(
        networks,
        data,
        pixels=n_pixels,
        classes=classes,
        eps=eps,
        panels=panels,
        layer=layer,
        margin=margin,
        batch=batch,
        seed=seed,
        device=device,
    )
    times.append(time.perf_counter())
    map_seed = derived_seed(seed, "tsne") % 2**32
    coordinates, used, measured = lay_out(
        sample.features, layout, perplexity=perplexity, neighbors=neighbors, seed=map_seed, jobs=jobs
    )
    times.append(time.perf_counter())
    measured |= map_quality(sample.features[CLEAN], coordinates[CLEAN], seed=map_seed)
    if layout != "separate":
        measured["median_move"] = _moves(coordinates)
    images = thumbnails(data, [sample.image_ids[place] for place in np.unique(sample.image)])
    times.append(time.perf_counter())
    return PixelEmbedding(
        pixels=_table(sample, coordinates),
        images=images,
        classes=networks.classes,
        subject=dict(subject or {}),
        asked={
            "n_pixels": n_pixels,
            "classes": list(classes),
            "eps": eps,
            "layer": layer,
            "layout": layout,
            "margin": margin,
            "perplexity": perplexity,
            "neighbors": neighbors,
            "seed": seed,
            **({"panels": list(panels)} if panels else {}),
        },
        used={"classes": [networks.classes[label] for label in np.unique(sample.label)], **used},
        measured={
            "correct_pixels": sample.correct_pixels,
            "relative_norm": sample.relative_norm,
            **_flips(sample),
            **measured,
        },
        seconds=dict(zip(("sampling", "layout", "measuring"), np.diff(times).tolist(), strict=True)),
    )


def _table(sample: PixelSample, coordinates: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image": np.asarray(sample.image_ids, dtype=object)[sample.image],
            "row": sample.row,
            "col": sample.col,
            "label": sample.label,
            **{f"pred_{panel}": sample.prediction[panel] for panel in sample.prediction},
            **{f"{axis}_{p}": coordinates[p][:, i] for p in sample.prediction for i, axis in enumerate("xy")},
        }
    )


def _flips(sample: PixelSample) -> dict[str, Any]:
    """Counts the flips of each panel, those of all panels and of one alone; intervals are over the pixels' images.

    Before a perturbation nothing is flipped, by choice of the pixels, so that there is no interval.
    """
    _, image = np.unique(sample.image, return_inverse=True)
    wrong = {panel: predicted != sample.label for panel, predicted in sample.prediction.items()}
    pixels = np.bincount(image)
    moved = {panel: values for panel, values in wrong.items() if panel != CLEAN}
    found = {panel: share(np.bincount(image, weights=values), pixels) for panel, values in moved.items()}
    return {
        "flipped": {panel: int(values.sum()) for panel, values in wrong.items()},
        "flipped_by": {by: int(values.sum()) for by, values in overlap(moved).items()},
        "flip_rate": {panel: float(values.mean()) for panel, values in wrong.items()},
        "flip_rate_low": {panel: _known(estimate.low) for panel, estimate in found.items()},
        "flip_rate_high": {panel: _known(estimate.high) for panel, estimate in found.items()},
    }


def _known(bound: NDArray[np.float64]) -> float | None:
    return float(bound) if np.isfinite(bound) else None


def _moves(coordinates: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Returns how far the pixels of a panel lie from where they were, in the middle, as a share of the map."""
    clean = coordinates[CLEAN]
    return {
        panel: float(np.median(np.linalg.norm(places - clean, axis=1)) / extent(clean))
        for panel, places in coordinates.items()
        if panel != CLEAN
    }
