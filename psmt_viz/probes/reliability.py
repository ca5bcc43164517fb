"""Does confidence match accuracy? Reliability diagram and expected calibration error of each role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.models.networks import Networks
from psmt_viz.probes.evaluate import whole_logits
from psmt_viz.probes.images import labeled_images
from psmt_viz.probes.shares import share
from psmt_viz.progress import progress
from psmt_viz.results import Reliability
from psmt_viz.seeds import derived_seed

_RESAMPLES = 2000


@torch.no_grad()
def reliability(
    networks: Networks,
    data: SegmentationData,
    *,
    part: str = "val",
    ids: Sequence[str] | None = None,
    bins: int = 15,
    window: int | None = None,
    window_stride: float = 2 / 3,
    seed: int = 0,
    device: str = "cpu",
    subject: Mapping[str, Any] | None = None,
) -> Reliability:
    """Counts correct pixels by confidence, for every role, and sums up how far accuracy lies from confidence.

    Confidence is a pixel's highest softmax probability at full resolution; void pixels count nowhere. The expected
    calibration error is the mean over the bins of |accuracy - confidence|, weighted by the bins' pixels.

    Args:
        networks: Networks; put in eval mode. Each sees the images through its own encoder, as in `evaluate`.
        data: The data set.
        part: `train` or `val`; any name for the images of `ids`.
        ids: The images; default: all of the part.
        bins: Bins of equal width over [0, 1].
        window: Side of a window that slides over the images, in pixels; default: they are seen whole.
        window_stride: Its step, as a share of the side.
        seed: Decides the resamples of the error's interval.
        device: Where the networks are.
        subject: What to say of the networks and the data (see `results.Result`).

    Raises:
        UserError: if there are fewer than 2 bins, or no labelled pixel.

    On Calibration of Modern Neural Networks (Guo et al., 2017), eq. 1-3.
    """
    if bins < 2:
        raise UserError("--bins of 2 or more", f"{bins}", "raise it; 15 is usual")
    networks.eval()
    ids = data.ids(part) if ids is None else tuple(ids)
    counts: dict[str, list[NDArray[np.float64]]] = {role: [] for role in networks.roles}
    with progress("reliability", len(ids)) as advance:
        for batch in labeled_images(data, ids, device=device):
            logits = whole_logits(networks, batch.images, window=window, window_stride=window_stride)
            for role, values in logits.items():
                counts[role] += [_binned(*each, bins) for each in zip(values, batch.labels, strict=True)]
            for _ in batch.ids:
                advance("")
    tables = [_tables(role, np.stack(images), seed=seed) for role, images in counts.items()]
    return Reliability(
        bins=pd.concat([table for table, _ in tables], ignore_index=True),
        roles=pd.DataFrame([row for _, row in tables]),
        subject=dict(subject or {}),
        asked={"part": part, "bins": bins, "seed": seed},
        used={"images": len(ids)},
    )


def _binned(logits: Tensor, labels: Tensor, bins: int) -> NDArray[np.float64]:
    """Returns (3, bins) of one image: pixels, correct pixels and the sum of confidences in each bin."""
    known = labels != IGNORE
    probability, prediction = logits.softmax(dim=0)[:, known].max(dim=0)
    confidence = probability.cpu().double()  # not every device has float64
    correct = (prediction == labels[known]).cpu().double()
    inner = torch.arange(1, bins, dtype=torch.float64) / bins
    place = torch.bucketize(confidence, inner)  # low < confidence <= high
    weights = (torch.ones_like(confidence), correct, confidence)
    return np.stack([torch.bincount(place, weights=each, minlength=bins).numpy() for each in weights])


def _tables(role: str, counts: NDArray[np.float64], *, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Returns the rows of the bins and the row of the role, of (N, 3, bins) counts."""
    pixels, correct, confidence = (counts[:, number].sum(axis=0) for number in range(3))
    if not pixels.sum():
        raise UserError("labelled pixels to count", "none", "check the data, or choose another part")
    edges = np.arange(len(pixels) + 1) / len(pixels)
    accuracy = share(counts[:, 1], counts[:, 0])
    with np.errstate(invalid="ignore"):
        mean = confidence / pixels
    table = pd.DataFrame(
        {
            "role": role,
            "low": edges[:-1],
            "high": edges[1:],
            "pixels": pixels.astype(np.int64),
            "correct_pixels": correct.astype(np.int64),
            "confidence": mean,
            "accuracy": accuracy.value,
            "accuracy_low": accuracy.low,
            "accuracy_high": accuracy.high,
        }
    )
    low, high = _error_interval(counts, seed=seed)
    return table, {
        "role": role,
        "ece": float(_error(counts.sum(axis=0))),
        "ece_low": low,
        "ece_high": high,
        "confidence": float(confidence.sum() / pixels.sum()),
        "accuracy": float(correct.sum() / pixels.sum()),
        "pixels": int(pixels.sum()),
    }


def _error(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the expected calibration error of (..., 3, bins) counts."""
    pixels, correct, confidence = np.moveaxis(counts, -2, 0)
    return np.abs(correct - confidence).sum(axis=-1) / pixels.sum(axis=-1)


def _error_interval(counts: NDArray[np.float64], *, seed: int) -> tuple[float, float]:
    """Returns the 95 % interval of the error over images; NaN from a single one.

    The basic bootstrap (Davison and Hinkley, 1997, section 5.2.1): a resample's error is a little too high, as that of
    the images is, because noise never lowers an absolute difference; reflected about the images' error, the interval
    takes that into account.
    """
    images = len(counts)
    if images < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(derived_seed(seed, "bootstrap"))
    weights = rng.multinomial(images, np.full(images, 1 / images), size=_RESAMPLES)
    resampled = _error(np.tensordot(weights, counts, axes=1))
    low, high = np.quantile(resampled, [0.025, 0.975])
    error = _error(counts.sum(axis=0))
    return float(max(0.0, 2 * error - high)), float(max(0.0, 2 * error - low))
