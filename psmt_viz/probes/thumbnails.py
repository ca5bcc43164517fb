"""Pictures small enough for a page, of the images that a result speaks of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO

import pandas as pd
from PIL import Image

from psmt_viz.data.dataset import SegmentationData

_PIXELS = 6_000_000
"""Of all pictures together, about 2 MB; more images are shown smaller."""
_QUALITY = 82


def thumbnails(data: SegmentationData, ids: Sequence[str]) -> pd.DataFrame:
    """Returns one row per image: image, height, width (of the original, in pixels), jpeg (bytes).

    Pictures are as large as their originals, or all smaller by one factor where they would have more than 6 million
    pixels together.

    Args:
        data: The data set.
        ids: Which images.
    """
    # Read twice, so that no more than one is in memory.
    sizes = [data.image(id).shape[:2] for id in ids]
    factor = min(1.0, math.sqrt(_PIXELS / max(1, sum(height * width for height, width in sizes))))
    rows = []
    for id, (height, width) in zip(ids, sizes, strict=True):
        picture = Image.fromarray(data.image(id))
        if factor < 1:
            size = (max(1, round(factor * width)), max(1, round(factor * height)))
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        buffer = BytesIO()
        picture.save(buffer, format="JPEG", quality=_QUALITY, optimize=True)
        rows.append({"image": id, "height": height, "width": width, "jpeg": buffer.getvalue()})
    return pd.DataFrame(rows, columns=["image", "height", "width", "jpeg"])
