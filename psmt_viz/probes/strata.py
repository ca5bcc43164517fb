"""Where in an image, and how sure of it, a pixel was: the strata by which flips are counted."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from psmt_viz.metrics import IGNORE

DISTANCE_EDGES = (1.0, 2.0, 3.0, 5.0, 9.0, 17.0, 33.0)
"""Lower ends of the bins of distance, in pixels; the last has no upper end."""
CONFIDENCE_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Lower ends of the bins of confidence; the last ends with 1."""


def bins_of(edges: tuple[float, ...], top: float) -> list[tuple[float, float]]:
    """Returns the lower and the upper end of each bin."""
    return list(zip(edges, (*edges[1:], top), strict=True))


def distance_to_other(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns each pixel's Euclidean distance to the nearest pixel of another class, in pixels.

    Void is no class: it is neither a neighbour nor has a distance.

    Args:
        labels: (H, W) class ids, 255 where there is none.

    Returns:
        (H, W); 1 beside another class, infinite where the image has no other, NaN on void.
    """
    distance = np.full(labels.shape, np.nan)
    present = np.setdiff1d(np.unique(labels), [IGNORE])
    if len(present) == 1:
        distance[labels == present[0]] = np.inf
        return distance
    for value in present:
        own = labels == value
        distance[own] = ndimage.distance_transform_edt(own | (labels == IGNORE))[own]
    return distance


def distance_bins(labels: Tensor) -> Tensor:
    """Returns the bin of distance of each pixel of (1, H, W) labels; void is in the first."""
    distance = np.nan_to_num(distance_to_other(labels[0].cpu().numpy()), nan=1.0, posinf=np.inf)
    return torch.from_numpy(np.digitize(distance, DISTANCE_EDGES[1:]))[None].to(labels.device)


def confidence_bins(probability: Tensor) -> Tensor:
    """Returns the bin of confidence of each probability in [0, 1], of the same shape."""
    return torch.bucketize(probability, probability.new_tensor(CONFIDENCE_EDGES[1:]), right=True)
