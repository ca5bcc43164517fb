"""How long a run's steps wait for their batches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Waiting:
    """Adds up the time for which a device has nothing to do because the next batch is not there.

    A GPU works off what was queued while the program waits; only what it stands still counts.

    Args:
        device: The device.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._seconds = 0.0

    @contextmanager
    def for_data(self) -> Iterator[None]:
        """The block in which a batch is fetched."""
        if self._on_gpu:
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            yield
            after.record()
            self._events.append((before, after))
            return
        started = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - started

    def seconds(self) -> float:
        """Returns the time since the last call, once a GPU has done what was queued before the last batch."""
        if self._events:
            self._events[-1][1].synchronize()
            self._seconds += sum(before.elapsed_time(after) for before, after in self._events) / 1000
            self._events = []
        found, self._seconds = self._seconds, 0.0
        return found
