"""The losses of PS-MT and the pseudo-labels that they learn from."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from psmt_viz.metrics import IGNORE


def labeled_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Returns the mean cross-entropy over labelled pixels; 0, with a graph, if there are none.

    Args:
        logits: (B, K, H, W).
        label: (B, H, W) int64 class ids, 255 where there is none.
    """
    total = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="sum")
    return total / (label != IGNORE).sum().clamp(min=1)


def confident_cross_entropy(
    logits: Tensor, teacher_logits: Tensor, valid: Tensor, *, threshold: float
) -> tuple[Tensor, Tensor]:
    """Returns the confidence-weighted cross-entropy to the teachers' most likely class (Conf-CE).

    The weight of a pixel is the teachers' highest probability; pixels below the threshold do not count, and the mean is
    over those that do.

    Args:
        logits: (B, K, H, W) of the student.
        teacher_logits: (B, K, H, W) of the ensemble, without a graph.
        valid: (B, H, W) truth values; false in the padding.
        threshold: Least probability of a pixel that counts.

    Returns:
        The loss, which is 0 with a graph where no pixel passes, and the share of valid pixels that pass.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), eq. 7.
    """
    confidence, target = teacher_logits.softmax(dim=1).max(dim=1)
    passing = (confidence >= threshold) & valid
    weight = confidence * passing
    total = (weight * F.cross_entropy(logits, target, reduction="none")).sum()
    return total / passing.sum().clamp(min=1), passing.sum() / valid.sum().clamp(min=1)


def assisted_mean(updated: Tensor, other: Tensor, *, top: int) -> Tensor:
    """Returns the teachers' mean logits, the one at rest limited to what it is surest of (the assist mask).

    At each pixel the teacher that is not being updated keeps its `top` highest logits; its others are replaced by those
    of the teacher being updated. With `top` at the number of classes or above it is the plain mean.

    Args:
        updated: (B, K, H, W) logits of the teacher being updated.
        other: (B, K, H, W) logits of the teacher at rest.
        top: Logits that the teacher at rest keeps.
    """
    if top < other.shape[1]:
        kept = other.topk(top, dim=1).indices
        other = updated.scatter(1, kept, other.gather(1, kept))
    return (updated + other) / 2
