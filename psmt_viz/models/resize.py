"""The two ways in which maps are resized bilinearly: corners on corners, or pixels as areas."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def resize_aligned(values: Tensor, size: Sequence[int]) -> Tensor:
    """Resizes maps (B, C, h, w) with `align_corners=True`: as PS-MT's code does everywhere.

    Corners stay where they are, so a stretch and the way back meet at the same places.
    """
    return _resize(values, size, align_corners=True)


def resize_unaligned(values: Tensor, size: Sequence[int]) -> Tensor:
    """Resizes maps (B, C, h, w) with `align_corners=False`: as torchvision and segmentation_models_pytorch do."""
    return _resize(values, size, align_corners=False)


def _resize(values: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=align_corners)
