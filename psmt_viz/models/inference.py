"""Whole images through a network: the one way in which validation and every probe see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psmt_viz.errors import UserError
from psmt_viz.models.resize import resize_aligned


class Encoder(Protocol):
    """A network, or several with one student, as `encode_whole` needs it."""

    @property
    def multiple(self) -> int:
        """It takes images whose sides are multiples of it."""
        ...

    def encode(self, images: Tensor, /) -> Tensor:
        """Maps images (B, 3, H, W) to z."""
        ...


class SplitNetwork(Encoder, Protocol):
    """A network with both sides of the split point."""

    def decode(self, z: Tensor, size: Sequence[int], /) -> Tensor:
        """Maps z to logits (B, K, *size)."""
        ...


def as_images(arrays: Sequence[NDArray[np.uint8]], device: str = "cpu") -> Tensor:
    """Turns (H, W, 3) uint8 arrays of one size into images (B, 3, H, W) in [0, 1].

    Raises:
        UserError: if there is none, one is no such array, or their sizes differ.
    """
    for array in arrays:
        if not (isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3):
            got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            fix = "convert them, for instance with np.asarray(image.convert('RGB'))"
            raise UserError("images as (H, W, 3) arrays of uint8", got, fix)
    sizes = sorted({array.shape[:2] for array in arrays})
    if len(sizes) != 1:
        got = ", ".join(f"{height} x {width}" for height, width in sizes) or "no image"
        raise UserError("images of one size", got, "resize or crop them, or give them one at a time")
    return torch.from_numpy(np.stack(arrays)).to(device).permute(0, 3, 1, 2).float() / 255


def encode_whole(network: Encoder, images: Tensor) -> Tensor:
    """Returns z of images of any size, after stretching each side to the network's next multiple.

    Args:
        network: Whose z.
        images: (B, 3, H, W) in [0, 1].
    """
    return network.encode(resize_aligned(images, padded_size(images.shape[-2:], network.multiple)))


def decode_whole(
    decode: Callable[[Tensor, Sequence[int]], Tensor], z: Tensor, size: Sequence[int], *, multiple: int
) -> Tensor:
    """Returns logits (B, K, *size) for z of `encode_whole`.

    Args:
        decode: Maps z and a size to logits of that size.
        z: (B, C, h, w).
        size: Height and width of the original images.
        multiple: Of the network that encoded.
    """
    return resize_aligned(decode(z, padded_size(size, multiple)), size)


def sliding_logits(
    network: SplitNetwork, images: Tensor, *, window: int, stride: float, fill: Tensor | float = 0.0
) -> Tensor:
    """Returns logits (B, K, H, W) as the mean over the windows that see a pixel.

    Windows lie a step apart; the last of a row or column is moved back to end at the border. An image smaller than the
    window is padded to it, half on each side.

    Args:
        network: Whose logits.
        images: (B, 3, H, W) in the network's input scale.
        window: Side of the window, in pixels.
        stride: Step between two windows, as a share of the side, rounded up to whole pixels.
        fill: Value of the padding, or a colour (3, 1, 1).
    """
    size = images.shape[-2:]
    step = math.ceil(window * stride)
    height, width = (max(length, window) for length in size)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    if (height, width) != tuple(size):
        padded = images.new_empty(*images.shape[:-2], height, width)
        padded[:] = fill
        padded[..., top : top + size[0], left : left + size[1]] = images
        images = padded
    total, seen = images.new_zeros(()), images.new_zeros(height, width)
    for row in _starts(height, window, step):
        for column in _starts(width, window, step):
            place = (..., slice(row, row + window), slice(column, column + window))
            view = images[place]
            z = encode_whole(network, view)
            logits = decode_whole(network.decode, z, view.shape[-2:], multiple=network.multiple)
            if total.ndim == 0:
                total = logits.new_zeros(*logits.shape[:2], height, width)
            total[place] += logits
            seen[place] += 1
    return total.div_(seen)[..., top : top + size[0], left : left + size[1]]


def _starts(length: int, window: int, step: int) -> list[int]:
    return [*range(0, length - window, step), length - window]


def padded_size(size: Sequence[int], multiple: int) -> tuple[int, int]:
    """Returns height and width, each raised to the next multiple."""
    height, width = (-(-length // multiple) * multiple for length in size)
    return height, width
