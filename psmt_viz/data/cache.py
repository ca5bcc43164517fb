"""Decoded images and labels of a data set, kept in memory for all processes that load them."""

from __future__ import annotations

import mmap
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from psmt_viz.config import Cache
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.data.folder import DataFolder
from psmt_viz.data.memory import free_memory

Array = NDArray[np.uint8]
FORKS = sys.platform == "linux"
"""Whether processes that load images are forked, and so share what was mapped before."""

_SHARE = 0.5
"""Of the free memory that images may take unasked."""
_SAMPLE = 8
"""Images that are read to estimate how much memory all of them take."""


class CachedData:
    """A data set whose images and labels are read once and then copied from memory; the bytes are the same.

    The memory is mapped at once and taken as it fills up. Processes that are forked afterwards read from it and write
    to it; in any other that it is sent to, it is the bare data set. When it is full, the rest is read each time.

    Args:
        data: The data set.
        ids: What is kept, if it fits.
        capacity: Bytes that it may take.
    """

    def __init__(self, data: SegmentationData, ids: Sequence[str], *, capacity: int) -> None:
        self._data, self._capacity = data, capacity
        self._rows = {id: row for row, id in enumerate(dict.fromkeys(ids))}
        self._pixels = np.frombuffer(_shared(capacity), np.uint8)
        # Of each image and label: 1 + where its pixels begin (0: not kept), height and width.
        table = np.frombuffer(_shared(8 + 8 * 6 * len(self._rows)), np.int64)
        self._used, self._places = table[:1], table[1:].reshape(-1, 2, 3)
        self._lock: AbstractContextManager[Any] = (
            multiprocessing.get_context("fork").Lock() if FORKS else nullcontext()  # threads load nothing
        )

    @property
    def name(self) -> str:
        """The data set's name."""
        return self._data.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Its classes."""
        return self._data.classes

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns its ids of a part."""
        return self._data.ids(part)

    def split(self, name: str) -> Split:
        """Returns one of its splits."""
        return self._data.split(name)

    def fingerprint(self) -> dict[str, Any]:
        """Returns its fingerprint."""
        return self._data.fingerprint()

    def image(self, id: str) -> Array:
        """Returns the image, (H, W, 3) uint8 RGB; the caller's own copy."""
        return self._kept(id, 0, self._data.image)

    def label(self, id: str) -> Array:
        """Returns the label of each pixel, (H, W) uint8; the caller's own copy."""
        return self._kept(id, 1, self._data.label)

    @property
    def used(self) -> int:
        """Bytes that are kept."""
        return int(self._used[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._data,)

    def _kept(self, id: str, kind: Literal[0, 1], read: Callable[[str], Array]) -> Array:
        row = self._rows.get(id)
        if row is None:
            return read(id)
        place, channels = self._places[row, kind], 3 - 2 * kind
        # What another process has written is there once its lock is open.
        with self._lock:
            start, height, width = place.tolist()
        if start:
            pixels = self._pixels[start - 1 : start - 1 + height * width * channels].copy()
            return pixels.reshape((height, width, 3) if kind == 0 else (height, width))
        found = read(id)
        with self._lock:
            start = int(self._used[0])
            fits = start + found.size <= self._capacity
            self._used[0] += found.size if fits else 0
        if fits:
            self._pixels[start : start + found.size] = found.reshape(-1)
            with self._lock:
                place[:] = (start + 1, *found.shape[:2])
        return found


def cached(
    data: SegmentationData, ids: Sequence[str], labeled: Sequence[str], cache: Cache, *, processes: int = 1
) -> SegmentationData:
    """Returns a data set that keeps its decoded images in memory, or the data set itself.

    Args:
        data: The data set.
        ids: The images that are read.
        labeled: Those of them whose labels are read too.
        cache: `auto`: if it is a folder and all fits into half of the free memory; `on`: what fits into the free
            memory; `off`: nothing.
        processes: Processes on this machine that keep it each for itself.
    """
    free = free_memory()
    if cache == "off" or not ids or (cache == "auto" and (free is None or not isinstance(data, DataFolder))):
        return data
    needed = bytes_of(data, ids, labeled)
    share = (free if free is not None else needed * processes) // processes
    if cache == "auto" and needed > _SHARE * share:
        return data
    return CachedData(data, ids, capacity=max(1, min(share, 2 * needed)))


def bytes_of(data: SegmentationData, ids: Sequence[str], labeled: Sequence[str]) -> int:
    """Estimates the bytes that decoded images and labels take, from some of the images.

    Raises:
        UserError: if one of these cannot be read.
    """
    sample = [ids[i * len(ids) // _SAMPLE] for i in range(min(_SAMPLE, len(ids)))]
    mean = sum(data.image(id).nbytes for id in sample) / len(sample)
    return int(mean * (len(ids) + len(labeled) / 3))


def _shared(size: int) -> mmap.mmap:
    """Maps zeros that forked processes share; memory is taken page by page, when it is written to."""
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    return mmap.mmap(-1, max(1, size), flags=flags)


def _itself(data: SegmentationData) -> SegmentationData:
    return data
