"""Ctrl-C and SIGTERM as requests that training answers with a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Training was asked to stop and did, with a checkpoint.

    Args:
        number: The signal that asked.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class StopRequest:
    """While it is entered, the first Ctrl-C or SIGTERM is noted and a second Ctrl-C stops at once.

    Signals reach Python's main thread alone; in any other, nothing is changed.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that asked to stop, if one did."""
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def stopped(self) -> Stopped:
        """Returns what to raise once the checkpoint is written."""
        return Stopped(self.number or signal.SIGTERM)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Lets a request end the block by raising `Stopped`: for work that changes nothing and can be done again."""
        self._at_once = True
        try:
            if self.number is not None:
                raise self.stopped()
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self.number = self.number is not None, number
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self._at_once:
            raise self.stopped()
