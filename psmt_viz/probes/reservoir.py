"""A fair sample from a stream: the rows with the smallest random keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FIRST = 256
"""Rows for which room is made at first; it doubles up to the quota, since most streams of a rare class are short."""


class Smallest:
    """Keeps the rows with the smallest keys; memory is bounded by how many are kept, and only new rows are copied.

    Args:
        quota: How many rows to keep.

    Bottom-k sampling (Cohen and Kaplan, 2007): with uniform keys every row of the stream has the same chance.
    """

    def __init__(self, quota: int) -> None:
        self._quota, self._held = quota, 0
        self._rows = dict[str, NDArray]()
        self.seen = 0

    def candidates(self, keys: NDArray[np.float64]) -> NDArray[np.int64]:
        """Returns the positions of those keys that could stay, and counts all of them as seen."""
        self.seen += len(keys)
        full = self._held == self._quota
        below = np.flatnonzero(keys < self._rows["key"].max()) if full else np.arange(len(keys))
        return below[np.argsort(keys[below], kind="stable")[: self._quota]]

    def add(self, rows: dict[str, NDArray]) -> None:
        """Takes in rows, given by column; `key` is one of the columns."""
        if not self._rows:
            self._rows = {name: np.empty((0, *column.shape[1:]), column.dtype) for name, column in rows.items()}
        new = len(rows["key"])
        self._make_room(min(self._quota, self._held + new))
        keys = np.concatenate([self._rows["key"][: self._held], rows["key"]])
        best = np.argsort(keys, kind="stable")[: self._quota]
        stays = np.zeros(len(keys), bool)
        stays[best] = True
        kept = min(self._quota, len(keys))
        # Newcomers take the places of the rows that go and those that were free.
        free = np.flatnonzero(np.r_[~stays[: self._held], np.ones(kept - self._held, bool)])
        coming = np.flatnonzero(stays[self._held :])
        for name, column in rows.items():
            self._rows[name][free] = column[coming]
        self._held = kept

    def pop(self, name: str) -> NDArray:
        """Returns one column, rows by rising key, and forgets it; `key` goes last."""
        order = np.argsort(self._rows["key"][: self._held], kind="stable")
        return self._rows.pop(name)[order] if name != "key" else self._rows["key"][order]

    def _make_room(self, needed: int) -> None:
        room = len(self._rows["key"])
        if needed <= room:
            return
        size = min(self._quota, max(needed, 2 * room, _FIRST))
        for name, column in self._rows.items():
            grown = np.empty((size, *column.shape[1:]), column.dtype)
            grown[: self._held] = column[: self._held]
            self._rows[name] = grown
