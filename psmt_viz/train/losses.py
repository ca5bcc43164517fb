"""Losses of segmentation, and the pseudo-labels that unlabelled images have.

A step's batch may be cut into micro-batches, over devices and one after the other on each. So a loss is a sum over
images, each times a weight that the caller computes over all of them, and the gradients of the micro-batches add up to
those of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.metrics import IGNORE
from psmt_viz.perturb.norms import widened


def labeled_pixels(label: Tensor) -> Tensor:
    """Returns the number of labelled pixels of each image, (B,)."""
    return (label != IGNORE).flatten(1).sum(dim=1)


def labeled_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Returns the mean cross-entropy over labelled pixels; 0, with a graph, if there are none.

    Args:
        logits: (B, K, H, W).
        label: (B, H, W) int64 class ids, 255 where there is none.
        weight: (B,) of each image's pixels; by default one over all labelled pixels.
    """
    losses = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none").flatten(1).sum(dim=1)
    return _weighted(losses, weight, labeled_pixels(label))


def _weighted(losses: Tensor, weight: Tensor | None, pixels: Tensor) -> Tensor:
    """Returns the sum of images' losses (B,), each times its weight or, without, divided by all pixels (B,)."""
    return losses.sum() / pixels.sum().clamp(min=1) if weight is None else (losses * weight).sum()


def ohem_cross_entropy(logits: Tensor, label: Tensor, *, threshold: float, kept: int) -> Tensor:
    """Returns the mean cross-entropy over the hard labelled pixels (online hard example mining).

    A pixel is hard if the probability of its true class is below the threshold; if fewer than `kept` are, the `kept`
    pixels of lowest probability count (all labelled ones, if there are fewer still).

    Args:
        logits: (B, K, H, W).
        label: (B, H, W) int64 class ids, 255 where there is none.
        threshold: A probability.
        kept: Hard pixels at least.

    Training Region-Based Object Detectors with Online Hard Example Mining (Shrivastava et al., 2016), in the form that
    is usual for segmentation.
    """
    # All shapes are known beforehand, so that the host never waits for the device.
    losses = F.cross_entropy(logits, label, ignore_index=IGNORE, reduction="none").flatten()
    labeled = (label != IGNORE).flatten()
    # The loss is -log of the true class's probability, so low probabilities are high losses.
    probability = (-losses.detach()).exp().masked_fill(~labeled, torch.inf)
    # Infinite, so that all labelled pixels count, where they are fewer than `kept`.
    limit = probability.kthvalue(min(kept, len(probability))).values
    # What is not a number counts, and makes the loss none.
    hard = labeled & ~((probability >= threshold) & (probability > limit))
    return losses.where(hard, 0).sum() / hard.sum().clamp(min=1)


@dataclass(frozen=True, kw_only=True)
class PseudoLabel:
    """The labels that networks give unlabelled images."""

    target: Tensor
    """(B, H, W) uint8: the most likely class."""
    confidence: Tensor
    """(B, H, W): its probability."""
    passing: Tensor
    """(B, H, W) truth values: does the pixel count in the unsupervised loss?"""
    valid: Tensor
    """(B, H, W) truth values; false in the padding, where that does not count."""


def pseudo_label(logits: Tensor, valid: Tensor, *, threshold: float) -> PseudoLabel:
    """Returns the pseudo-labels of pixels.

    Args:
        logits: (B, K, H, W), without a graph.
        valid: (B, H, W) truth values.
        threshold: Least probability of a pixel that counts.
    """
    confidence, target = widened(logits).softmax(dim=1).max(dim=1)
    passing = (confidence >= threshold) & valid
    return PseudoLabel(target=target.byte(), confidence=confidence, passing=passing, valid=valid)


def confident_cross_entropy(logits: Tensor, pseudo: PseudoLabel, weight: Tensor | None = None) -> Tensor:
    """Returns the confidence-weighted cross-entropy to the teachers' most likely class (Conf-CE).

    The weight of a pixel is the teachers' highest probability; pixels below the threshold do not count, and the mean is
    over those that do. Where no pixel passes it is 0, with a graph.

    Args:
        logits: (B, K, H, W) of the student.
        pseudo: Of the same pixels.
        weight: (B,) of each image's pixels; by default one over all passing pixels.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), eq. 7.
    """
    confidence = pseudo.confidence * pseudo.passing
    losses = (confidence * F.cross_entropy(logits, pseudo.target.long(), reduction="none")).flatten(1).sum(dim=1)
    return _weighted(losses, weight, pseudo.passing)


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
