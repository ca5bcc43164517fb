"""Does the network need what a map points at? Pixels are removed in the map's order and the prediction is watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

SHARES = (0.2, 0.5, 0.8)
"""Shares of the pixels that are removed, each once from the most and once from the least relevant on."""
_CELL = 8
"""Side, in pixels, of the patches in which pixels of equal relevance are removed."""


@torch.no_grad()
def faithfulness(
    probability: Callable[[Tensor], Tensor],
    image: Tensor,
    relevance: NDArray[np.float32],
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> float:
    """Measures whether a map ranks pixels as the network needs them.

    A share of the pixels is taken away, once the least and once the most relevant ones, and filled in smoothly from
    what is left (see `filled_in`). The measure is the target's probability after the first less that after the second,
    as a mean over the shares: 1 at best, about 0 for a map that has nothing to do with the prediction, below 0 for one
    that points at what the network does not need. It compares maps of one image; how high it can get depends on the
    object and the network.

    This is the idea of ROAD, most and least relevant first combined, without its sparse equations (seconds for each
    share of a photograph), without noise, and by rank: ROAD's percentiles remove all pixels that are as relevant as the
    one at the percentile, and where a map is 0 that is all of them. Pixels of equal relevance come in patches of a
    seeded random order, the same for all maps of a seed; one by one the filling would undo their removal.

    Args:
        probability: Maps images (B, 3, H, W) to the target's mean probability over the pixels that it was predicted
            for, (B,).
        image: (3, H, W) in [0, 1].
        relevance: (H, W) map.
        shares: Shares of the pixels to remove, each between 0 and 1.
        seed: Orders pixels of equal relevance.

    Returns:
        A number in [-1, 1]; NaN for a map without any evidence, which orders nothing.

    A Consistent and Efficient Evaluation Strategy for Attribution Methods (Rong et al., 2022).
    """
    if not relevance.any():
        return float("nan")
    order = np.lexsort((_patches(relevance.shape, seed).ravel(), relevance.ravel()))
    gaps = []
    for share in shares:
        count = round(share * order.size)
        keep = np.ones((2, order.size), bool)
        keep[0, order[:count]] = keep[1, order[order.size - count :]] = False
        kept = torch.from_numpy(keep.reshape(2, *relevance.shape)).to(image.device)
        least_first, most_first = probability(filled_in(image, kept)).tolist()
        gaps.append(least_first - most_first)
    return float(np.mean(gaps))


def filled_in(image: Tensor, keep: Tensor) -> Tensor:
    """Fills removed pixels in from those kept: from the nearest ones in detail, from farther ones more smoothly.

    Means of what is known are taken over 2 x 2 pixels, over 2 x 2 of those, and so on; what is unknown at one size
    comes from the next larger one, bilinearly.

    Args:
        image: (3, H, W).
        keep: (B, H, W) truth values; at least one pixel of each is kept.

    Returns:
        (B, 3, H, W); pixels that are kept are as they were.
    """
    known = keep[:, None].to(image)
    return _filled(image * known, known)


def _filled(total: Tensor, known: Tensor) -> Tensor:
    """Fills in from sums of known values and the shares known, both as means over the same cells."""
    value = total / known.clamp(min=torch.finfo(known.dtype).tiny)
    if known.all():
        return value
    coarse = _filled(*(F.avg_pool2d(part, 2, ceil_mode=True) for part in (total, known)))
    smooth = F.interpolate(coarse, size=known.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(known > 0, value, smooth)


def _patches(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    coarse = np.random.default_rng(seed).random([-(-length // _CELL) + 1 for length in shape], dtype=np.float32)
    field = F.interpolate(torch.from_numpy(coarse)[None, None], size=shape, mode="bilinear", align_corners=True)
    return field[0, 0].numpy()
