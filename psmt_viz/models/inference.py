"""Whole images through a network: the one way in which validation and every probe see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.models.deeplab import DeepLabV3Plus

_MULTIPLE = 8


def as_images(arrays: Sequence[NDArray[np.uint8]], device: str = "cpu") -> Tensor:
    """Turns (H, W, 3) uint8 arrays of one size into images (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(arrays)).to(device).permute(0, 3, 1, 2).float() / 255


def encode_whole(network: DeepLabV3Plus, images: Tensor) -> Tensor:
    """Returns z of images of any size, after stretching each side to the next multiple of 8.

    Args:
        network: Whose z.
        images: (B, 3, H, W) in [0, 1].
    """
    return network.encode(_resized(images, padded_size(images.shape[-2:])))


def decode_whole(decode: Callable[[Tensor, Sequence[int]], Tensor], z: Tensor, size: Sequence[int]) -> Tensor:
    """Returns logits (B, K, *size) for z of `encode_whole`.

    Args:
        decode: Maps z and a size to logits of that size.
        z: (B, C, h, w).
        size: Height and width of the original images.
    """
    return _resized(decode(z, padded_size(size)), size)


def sliding_logits(network: DeepLabV3Plus, images: Tensor, *, window: int, stride: float) -> Tensor:
    """Returns logits (B, K, H, W) as the mean over the windows that see a pixel.

    Windows lie a step apart; the last of a row or column is moved back to end at the border. Where an image is smaller
    than the window, the window is the image.

    Args:
        network: Whose logits.
        images: (B, 3, H, W) in [0, 1].
        window: Side of the window, in pixels.
        stride: Step between two windows, as a share of the side.
    """
    step, (height, width) = max(1, round(window * stride)), images.shape[-2:]
    total, seen = images.new_zeros(()), images.new_zeros(height, width)
    for top in _starts(height, window, step):
        for left in _starts(width, window, step):
            place = (..., slice(top, top + window), slice(left, left + window))
            view = images[place]
            logits = decode_whole(network.decode, encode_whole(network, view), view.shape[-2:])
            if total.ndim == 0:
                total = logits.new_zeros(*logits.shape[:2], height, width)
            total[place] += logits
            seen[place] += 1
    return total.div_(seen)


def _starts(length: int, window: int, step: int) -> list[int]:
    return [*range(0, length - window, step), max(0, length - window)]


def padded_size(size: Sequence[int]) -> tuple[int, int]:
    """Returns height and width, each raised to the next multiple of 8."""
    height, width = (-(-length // _MULTIPLE) * _MULTIPLE for length in size)
    return height, width


def _resized(values: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=True)
