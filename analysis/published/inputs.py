"""Random inputs that a file states in words: pictures, label maps, checksums."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def generator(seed: int) -> torch.Generator:
    """Returns torch's generator with a seed."""
    return torch.Generator().manual_seed(seed)


def spread(values: Tensor, times: int) -> Tensor:
    """Repeats every value of (..., H, W) over `times` rows and columns."""
    return values.repeat_interleave(times, dim=-2).repeat_interleave(times, dim=-1)


def picture(seed: int, count: int, crop: int) -> Tensor:
    """Returns pictures (count, 3, crop, crop) uint8: coarse blocks of 8 pixels and fine noise from one generator."""
    source = generator(seed)
    coarse = torch.randint(0, 256, (count, 3, crop // 8, crop // 8), generator=source)
    fine = torch.randint(-24, 25, (count, 3, crop, crop), generator=source)
    return (spread(coarse, 8) + fine).clamp(0, 255).to(torch.uint8)


def sha256(values: Tensor) -> str:
    """Returns the SHA-256 of a tensor's bytes in C order."""
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()


def unit(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns uint8 images in [0, 1], as the networks take them."""
    return images.to(dtype) / 255
