"""The interface of every segmentation data set, whatever it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from psmt_viz.errors import UserError


@dataclass(frozen=True)
class Split:
    """Which training images are used with their labels and which without."""

    labeled: tuple[str, ...]
    unlabeled: tuple[str, ...]


class SegmentationData(Protocol):
    """Images with one label per pixel, addressed by an id."""

    @property
    def name(self) -> str:
        """A short name for folders and titles."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in the order of their ids, 0 to K - 1."""
        ...

    def ids(self, part: str) -> tuple[str, ...]:
        """The ids of `train` or `val`, in a fixed order."""
        ...

    def split(self, name: str) -> Split:
        """The labelled and the unlabelled ids of a split such as `1_8`; `full` labels every training image."""
        ...

    def image(self, id: str) -> NDArray[np.uint8]:
        """The image, (H, W, 3) uint8 RGB."""
        ...

    def label(self, id: str) -> NDArray[np.uint8]:
        """The label of each pixel, (H, W) uint8: a class id, or 255 where none applies."""
        ...

    def fingerprint(self) -> dict[str, Any]:
        """What identifies the data: counts, class names and a hash, as plain JSON values."""
        ...


def read_pair(data: SegmentationData, id: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Reads an image and its label together.

    Returns:
        The image, (H, W, 3) uint8 RGB, and the label, (H, W) uint8.

    Raises:
        UserError: if the two differ in size, or one cannot be read.
    """
    image, label = data.image(id), data.label(id)
    if image.shape[:2] != label.shape:
        sizes = [f"{width} x {height}" for height, width in (image.shape[:2], label.shape)]
        raise UserError(
            f"image and mask of {id} in {data.name} of one size (width x height)",
            f"an image of {sizes[0]} and a mask of {sizes[1]}",
            "save the mask in the image's size; psmt-viz checks --data DIR lists all such pairs",
        )
    return image, label
