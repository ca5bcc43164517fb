"""Progress of long work: a bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[str], None]
"""Called after each unit of work with a few words on how it goes."""

_SECONDS_BETWEEN_LINES = 15.0
_screen = threading.Lock()


@contextmanager
def progress(description: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Shows how far a piece of work has come, its rate and its ETA; work inside other work is part of it.

    Args:
        description: What is being done.
        total: Units of work.
        done: Units that an earlier run has done; they do not count for the rate.
    """
    if not _screen.acquire(blocking=False):
        # Two live bars would wipe each other's line.
        yield lambda note: None
        return
    try:
        with (_bar if sys.stderr.isatty() else _lines)(description, total, done) as advance:
            yield advance
    finally:
        _screen.release()


@contextmanager
def silence() -> Iterator[Advance]:
    """Shows nothing of the work inside: of several processes that work together, one speaks."""
    with _screen:
        yield lambda note: None


@contextmanager
def _bar(description: str, total: int, before: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    start, done = time.monotonic(), before
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total, completed=before, rate="", note="")

        def advance(note: str) -> None:
            nonlocal done
            done += 1
            bar.update(
                task, advance=1, rate=f"{(done - before) / max(time.monotonic() - start, 1e-9):.1f}/s", note=note
            )

        yield advance


@contextmanager
def _lines(description: str, total: int, before: int) -> Iterator[Advance]:
    start, done = time.monotonic(), before
    last = start

    def advance(note: str) -> None:
        nonlocal done, last
        done += 1
        now = time.monotonic()
        if now - last < _SECONDS_BETWEEN_LINES and done < total:
            return
        last = now
        rate = (done - before) / max(now - start, 1e-9)
        words = f"{description} {done}/{total}, {rate:.1f}/s, ETA {(total - done) / rate:.0f} s"
        print(f"{words}, {note}" if note else words, file=sys.stderr, flush=True)

    yield advance
