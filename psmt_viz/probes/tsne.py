"""The t-SNE map of correctly predicted pixels, on which the perturbations move them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.kinds import CLEAN
from psmt_viz.models.networks import Networks
from psmt_viz.probes.map_quality import map_quality
from psmt_viz.probes.pixels import PixelSample, sample_pixels
from psmt_viz.probes.settings import TsneSettings, asked
from psmt_viz.probes.shares import share
from psmt_viz.probes.thumbnails import thumbnails
from psmt_viz.probes.tsne_map import extent, lay_out
from psmt_viz.results import PixelEmbedding, overlap
from psmt_viz.seeds import derived_seed


def tsne(
    networks: Networks,
    data: SegmentationData,
    settings: TsneSettings | None = None,
    *,
    device: str = "cpu",
    subject: Mapping[str, Any] | None = None,
) -> PixelEmbedding:
    """Lays pixels out by t-SNE before and after the perturbations.

    Args:
        networks: A student, with or without teachers.
        data: The data set; validation images are used.
        settings: Which pixels, perturbed how, and how they are laid out. Default: as in the paper's figure.
        device: Where the networks are.
        subject: What to say of the networks and the data (see `results.Result`).

    Returns:
        The embedding; its `seconds` are those spent in `sampling`, in `layout` and in `measuring` the map.

    Raises:
        UserError: see `sample_pixels`.

    Supplement Fig. 2 of PS-MT (Liu et al., 2022); openTSNE (Policar et al., 2024).
    """
    settings = settings or TsneSettings()
    times = [time.perf_counter()]
    sample = sample_pixels(networks, data, settings, device=device)
    times.append(time.perf_counter())
    map_seed = derived_seed(settings.seed, "tsne") % 2**32
    coordinates, used, measured = lay_out(sample.features, settings, seed=map_seed)
    times.append(time.perf_counter())
    measured |= map_quality(sample.features[CLEAN], coordinates[CLEAN], seed=map_seed)
    if settings.layout != "separate":
        measured["median_move"] = _moves(coordinates)
    images = thumbnails(data, [sample.image_ids[place] for place in np.unique(sample.image)])
    times.append(time.perf_counter())
    return PixelEmbedding(
        pixels=_table(sample, coordinates),
        images=images,
        classes=networks.classes,
        subject=dict(subject or {}),
        asked=asked(settings, leave_out=("batch", "jobs")),
        used={
            "classes": [networks.classes[label] for label in np.unique(sample.label)],
            "pixels": {
                networks.classes[label]: int((sample.label == label).sum()) for label in np.unique(sample.label)
            },
            "left_out": sample.left_out,
            **used,
        },
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
