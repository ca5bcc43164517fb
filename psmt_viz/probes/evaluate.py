"""Scores of student, teachers and ensemble on a set of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.metrics import IGNORE
from psmt_viz.models.inference import decode_whole, encode_whole, sliding_logits
from psmt_viz.models.networks import Networks, mean_logits
from psmt_viz.probes.images import labeled_images
from psmt_viz.progress import progress
from psmt_viz.results import Evaluation
from psmt_viz.roles import ENSEMBLE


@torch.no_grad()
def evaluate(
    networks: Networks,
    data: SegmentationData,
    *,
    part: str = "val",
    ids: Sequence[str] | None = None,
    window: int | None = None,
    window_stride: float = 2 / 3,
    device: str = "cpu",
    subject: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Scores every role on a part of a data set, each from one confusion matrix over all its pixels.

    Each network sees the image through its own encoder; the ensemble is the mean of the teachers' logits.

    Args:
        networks: Networks; each is put in eval mode.
        data: The data set.
        part: `train` or `val`; any name for the images of `ids`.
        ids: The images. Default: all of the part.
        window: Side of a window that slides over the images, in pixels. Default: they are seen whole.
        window_stride: Its step, as a share of the side.
        device: A torch device, where the networks are.
        subject: What to say of the networks and the data (see `results.Result`).
    """
    networks.eval()
    classes = len(networks.classes)
    matrices = {role: torch.zeros(classes, classes, dtype=torch.int64, device=device) for role in networks.roles}
    ids = data.ids(part) if ids is None else tuple(ids)
    with progress("evaluate", len(ids)) as advance:
        for batch in labeled_images(data, ids, device=device):
            logits = whole_logits(networks, batch.images, window=window, window_stride=window_stride)
            for role, values in logits.items():
                # On a CPU several times as fast as argmax.
                matrices[role] += confusion(batch.labels, values.max(dim=1).indices, classes)
            for _ in batch.ids:
                advance("")
    return Evaluation(
        classes=networks.classes,
        confusion={role: matrix.cpu().numpy() for role, matrix in matrices.items()},
        subject=dict(subject or {}),
        asked={"part": part},
        used={"images": len(ids)},
    )


def whole_logits(
    networks: Networks, images: Tensor, *, window: int | None = None, window_stride: float = 2 / 3
) -> dict[str, Tensor]:
    """Returns role -> logits (B, K, H, W) of images (B, 3, H, W) in [0, 1], seen whole or through a sliding window."""
    size = images.shape[-2:]
    logits = {}
    for role, network in networks.by_role().items():
        if window is None:
            z = encode_whole(network, images)
            logits[role] = decode_whole(network.decode, z, size, multiple=network.multiple)
        else:
            logits[role] = sliding_logits(network, images, window=window, stride=window_stride, fill=network.fill)
    if ENSEMBLE in networks.roles:
        logits[ENSEMBLE] = mean_logits([logits[name] for name in networks.teachers])
    return logits


def confusion(truth: Tensor, prediction: Tensor, classes: int) -> Tensor:
    """Counts pixels by truth (rows) and prediction (columns), (K, K) int64; truth 255 counts nowhere."""
    seen = truth != IGNORE
    cells = torch.bincount(truth[seen] * classes + prediction[seen], minlength=classes**2)
    return cells.view(classes, classes)
