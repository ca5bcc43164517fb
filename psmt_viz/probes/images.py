"""Labelled images, a few of one size at a time."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psmt_viz.data.dataset import SegmentationData, read_pair
from psmt_viz.models.inference import as_images

# Eight images of 512 x 512; of 2048 x 1024, eight would take 5 GB for the roles' logits alone.
_PIXELS = 8 * 512**2


@dataclass(frozen=True, kw_only=True)
class LabeledImages:
    """Images of one size with their labels."""

    ids: tuple[str, ...]
    images: Tensor
    """(B, 3, H, W) in [0, 1]."""
    labels: Tensor
    """(B, H, W) int64 class ids, 255 where there is none."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.images.shape[-2:]
        return height, width


def labeled_images(
    data: SegmentationData, ids: Sequence[str], *, batch: int = 8, device: str = "cpu"
) -> Iterator[LabeledImages]:
    """Yields the images in order; neighbours of one size share a batch, which changes no result.

    Args:
        data: The data set.
        ids: Which images.
        batch: Images at a time, at most; fewer of them if they are large.
        device: Where they go.
    """
    held: list[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]] = []
    for id in ids:
        image, label = read_pair(data, id)
        most = min(batch, _PIXELS // label.size)
        if held and (len(held) >= most or held[0][1].shape != image.shape):
            yield _stack(held, device)
            _return_memory()
            held = []
        held.append((id, image, label))
    if held:
        yield _stack(held, device)


def _return_memory() -> None:
    """Gives freed memory back to the system.

    Images of many sizes leave holes in the C library's heap, which no later image fits: a process that perturbs images
    of voc_mini grew by 20 MB an image.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _stack(held: list[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]], device: str) -> LabeledImages:
    ids, images, labels = zip(*held, strict=True)
    return LabeledImages(
        ids=ids, images=as_images(images, device), labels=torch.from_numpy(np.stack(labels)).to(device).long()
    )
