"""A few images of a data set with their labels, small and of one size, to look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from psmt_viz.data.dataset import SegmentationData, read_pair

MOST = 12
SIDE = 160
"""Pixels of a picture's longer side."""


def sample(data: SegmentationData) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Returns id -> image (h, w, 3) and label (h, w) of images that are evenly spread over both parts.

    Images without a mask are passed over.
    """
    has_mask = getattr(data, "has_mask", lambda id: True)
    ids = [id for part in ("train", "val") for id in data.ids(part) if has_mask(id)]
    chosen = dict.fromkeys(ids[round(place)] for place in np.linspace(0, len(ids) - 1, MOST)) if ids else {}
    return {id: _small(*read_pair(data, id)) for id in chosen}


def _small(image: NDArray[np.uint8], label: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = label.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(image).resize(size, Image.Resampling.BOX)
    return np.asarray(small), np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
