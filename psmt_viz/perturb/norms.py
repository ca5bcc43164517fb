"""Sizes of features and directions: over a whole image, or at each place."""

from __future__ import annotations

import torch
from torch import Tensor

from psmt_viz.search import Norm

_DIMENSIONS = {"image": (1, 2, 3), "pixel": (1,)}


def widened(values: Tensor) -> Tensor:
    """Returns values in float32, or in float64 if they are."""
    return values.to(_wide(values))


def _wide(values: Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)


def norm_per_image(values: Tensor) -> Tensor:
    """Returns the Euclidean norm over all but the first dimension, (B, 1, 1, 1), in float32 or better."""
    return norms(values, "image")


def norms(values: Tensor, norm: Norm) -> Tensor:
    """Returns Euclidean norms in float32 or better: (B, 1, 1, 1) of an image, or (B, 1, H, W) of a pixel's vector.

    Args:
        values: (B, C, H, W).
        norm: Over what.
    """
    return torch.linalg.vector_norm(values, dim=_DIMENSIONS[norm], keepdim=True, dtype=_wide(values))


def scaled(values: Tensor, *, norm: Norm = "image", floor: float | Tensor = 0.0) -> Tensor:
    """Returns directions of norm 1: values / (norm + floor), in the dtype of `values`.

    With `norm="pixel"` a vector of zeros stays one: nothing is known of its direction.
    """
    size = norms(values, norm) + floor
    if norm == "pixel":
        size = size.where(size > 0, 1)
    return (values / size).to(values.dtype)


def mean_norm(values: Tensor, norm: Norm) -> Tensor:
    """Returns (B,) the norm that eps bounds: over the image, or the root mean square of the pixels' norms."""
    return norms(values, norm).square().flatten(1).mean(dim=1).sqrt()


def cosine_per_image(one: Tensor, other: Tensor) -> Tensor:
    """Returns the cosine between two (B, C, H, W) tensors of one dtype, image by image, (B,)."""
    product = (scaled(one) * scaled(other)).flatten(1)
    return product.sum(dim=1)
