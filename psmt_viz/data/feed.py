"""The batches of a run's steps, made ahead by processes of their own."""

from __future__ import annotations

import atexit
import signal
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from psmt_viz.data.cache import FORKS
from psmt_viz.data.loader import Batch, InfiniteLoader
from psmt_viz.errors import UserError
from psmt_viz.methods.settings import View

AHEAD = 2
"""Batches that each process makes ahead."""

Needs = Mapping[str, tuple[View, ...]]
"""Loader -> views, of all loaders of which a step takes a batch."""
_Task = tuple[str, int, tuple[View, ...]]


class Feed:
    """Gives the batches of one step after another.

    The processes that make them live from the first step to the last, whatever happens between, so that batches are
    there when an epoch begins. Each makes whole batches, of which each is a function of its loader and step: their
    number changes no bit. They end with this object, with the program, and within seconds of a program that is killed.

    Args:
        loaders: Name -> loader.
        needs: Step -> what it takes.
        steps: Steps in all.
        workers: Processes; with 0, batches are made when they are asked for, in this process.
        pin: Put batches where a GPU copies them from while it computes.
    """

    def __init__(
        self,
        loaders: Mapping[str, InfiniteLoader],
        needs: Callable[[int], Needs],
        *,
        steps: int,
        workers: int = 0,
        pin: bool = False,
    ) -> None:
        self._loaders, self._needs, self._steps = loaders, needs, steps
        self.workers, self._pin = workers, pin and workers > 0
        self._made: Iterator[Batch | UserError] | None = None
        self._next = 0

    def batches(self, step: int) -> dict[str, Batch]:
        """Returns loader -> batch, of all that a step takes.

        Raises:
            UserError: if an image or a label cannot be read.
        """
        needs = self._needs(step)
        if self.workers == 0:
            return {name: self._loaders[name].batch(step, views) for name, views in needs.items()}
        if self._made is None or step != self._next:
            self._start(step)
        assert self._made is not None
        found = {}
        for name in needs:
            made = next(self._made)
            if isinstance(made, UserError):
                raise made
            found[name] = made
        self._next = step + 1
        return found

    def close(self) -> None:
        """Ends the processes; asking for another step starts them again."""
        self._made = None

    def _start(self, step: int) -> None:
        self.close()
        loader = DataLoader(
            _Made(self._loaders),
            batch_size=None,
            sampler=_Tasks(self._needs, step, self._steps),
            num_workers=self.workers,
            collate_fn=_as_it_is,
            prefetch_factor=AHEAD,
            pin_memory=self._pin,
            worker_init_fn=_leave_signals_to_the_main_process,
            # So that they share what is kept in memory, and need not import everything again.
            multiprocessing_context="fork" if FORKS else None,
            # A DataLoader draws a base seed for its processes; its own generator keeps the global one untouched.
            generator=torch.Generator(),
        )
        self._made, self._next = iter(loader), step
        _OPEN.add(self)


_OPEN: weakref.WeakSet[Feed] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Before multiprocessing, whose own function for the program's end is older, waits for what no signal ends."""
    for feed in list(_OPEN):
        feed.close()


class _Tasks(Sampler[_Task]):
    def __init__(self, needs: Callable[[int], Needs], first: int, last: int) -> None:
        self._needs, self._first, self._last = needs, first, last

    def __iter__(self) -> Iterator[_Task]:
        for step in range(self._first, self._last):
            for name, views in self._needs(step).items():
                yield name, step, views


class _Made(Dataset[Batch | UserError]):
    def __init__(self, loaders: Mapping[str, InfiniteLoader]) -> None:
        self._loaders = loaders

    def __getitem__(self, task: _Task) -> Batch | UserError:
        name, step, views = task
        # A fault of the data travels as a value: torch rebuilds a worker's exceptions from their message alone.
        try:
            return self._loaders[name].batch(step, views)
        except UserError as error:
            return error


def _as_it_is(made: Any) -> Any:
    return made


def _leave_signals_to_the_main_process(_: int) -> None:
    # Ctrl-C and a cluster's SIGTERM reach all processes; the main one still needs batches for its last step.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
