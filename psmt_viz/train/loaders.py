"""The loaders of the batches that a run reads, and the processes that make these."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from psmt_viz.config import Config
from psmt_viz.data.cache import cached
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.data.feed import AHEAD, Feed
from psmt_viz.data.loader import InfiniteLoader
from psmt_viz.errors import UserError
from psmt_viz.methods.settings import UNLABELED
from psmt_viz.train.plan import Plan, drops_last, pass_steps

_MOST = 8
"""Processes for one GPU: some 100 images a second each at crop 512."""
_WORTH_A_PROCESS = 2**19
"""Pixels of a step's views below which making them takes no longer than sending them to another process and back."""
_SHARED = Path("/dev/shm")
"""Where batches wait for the training process, on Linux."""
_BESIDE = 2**20
"""Bytes of it that locks and incomplete pages take."""


def open_loaders(
    config: Config,
    plan: Plan,
    data: SegmentationData,
    split: Split,
    *,
    rank: int = 0,
    world_size: int = 1,
    here: int = 1,
) -> dict[str, InfiniteLoader]:
    """Returns name -> loader, of all that the method's steps take batches of (see `Method.loaders`).

    Args:
        config: The run's settings.
        plan: Its lengths.
        data: The data set.
        split: Which images are labelled.
        rank: Which of the processes this one is.
        world_size: Processes that train together.
        here: Those of them on this machine.
    """
    method = config.method
    read = [*split.labeled, *(split.unlabeled if method.needs_unlabeled else ())]
    data = cached(data, read, split.labeled, config.system.cache, processes=here)

    def loader(name: str) -> InfiniteLoader:
        labeled = name != UNLABELED
        ids = split.labeled if labeled else split.unlabeled
        batch = method.batch_labeled if labeled else method.batch_unlabeled
        drop = drops_last(config, plan.micro_batches)
        batches = max(1, pass_steps(len(ids), batch, groups=method.groups, drop_last=drop))
        stages: list[tuple[int, int]] = []
        if labeled and method.labeled_stream == "replay":
            stages = [(0, batches), (plan.warmup_steps, plan.steps_per_epoch)]
        elif not labeled and method.steps_per_epoch is None:
            stages = [(plan.warmup_steps, plan.steps_per_epoch)]
        return InfiniteLoader(
            data,
            ids,
            labeled=labeled,
            views=config.views,
            batch=batch,
            seed=config.system.seed,
            name=name,
            stages=stages,
            epoch_batches=batches,
            keep_last=not drop,
            rank=rank,
            world_size=world_size,
        )

    # Each network warms up on an order of its own, or those that start alike would stay alike.
    names = dict.fromkeys([*method.loaders(warmup=True), *method.loaders(warmup=False)])
    return {name: loader(name) for name in names}


def open_feed(
    config: Config, plan: Plan, loaders: Mapping[str, InfiniteLoader], device: torch.device, *, here: int = 1
) -> Feed:
    """Returns what gives a run's steps their batches.

    Args:
        config: The run's settings.
        plan: Its lengths.
        loaders: Its loaders.
        device: Where it computes.
        here: Processes that train on this machine.
    """
    return Feed(
        loaders,
        lambda step: config.method.loaders(warmup=step < plan.warmup_steps),
        steps=plan.total_steps,
        workers=worker_count(config, device, here=here),
        pin=device.type == "cuda",
    )


def images_per_second(feed: Feed, first: int, *, seconds: float) -> float:
    """Measures how many images a second a feed makes ready.

    Args:
        feed: The feed; it is closed afterwards.
        first: The step to begin with; all that follow need batches of the same loaders.
        seconds: For so long, but one step at least.

    Raises:
        UserError: if an image or a label cannot be read.
    """
    together = len(feed.batches(first))
    # All processes begin at once, so their first batches come together, as fast as no others.
    begin = first + max(1, -(-feed.workers // together))
    for step in range(first + 1, begin):
        feed.batches(step)
    images, step, start = 0, begin, time.perf_counter()
    while images == 0 or time.perf_counter() - start < seconds:
        images += sum(len(batch.label) for batch in feed.batches(step).values())
        step += 1
    rate = images / (time.perf_counter() - start)
    feed.close()
    return rate


def worker_count(config: Config, device: torch.device, *, here: int = 1) -> int:
    """Returns how many processes make the batches of one that trains.

    On a CPU the step itself uses the cores.

    Args:
        config: The run's settings; a number that they give is taken.
        device: Where it computes.
        here: Processes that train on this machine, and share its cores and memory.

    Raises:
        UserError: if batches of so many do not fit into shared memory; a process would wait for them for ever.
    """
    method, crop, asked = config.method, config.views.crop, config.system.workers
    # Two views of three bytes a pixel, and a label. Containers often have little room for them.
    batch = max(method.batch_labeled, method.batch_unlabeled) * crop**2 * 7
    free = shutil.disk_usage(_SHARED).free if _SHARED.is_dir() else None
    room = max(0, free - _BESIDE) // (AHEAD * batch * here) if free is not None else None
    if asked is not None:
        if room is not None and asked > room:
            got = f"{asked}, and {free or 0:,} bytes free in {_SHARED}"
            fix = "enlarge it (docker: --shm-size 8g), or give --workers 0"
            raise UserError(f"--workers of at most {room}, whose batches fit into shared memory", got, fix)
        return asked
    if device.type != "cuda" or method.images_per_step * crop**2 < _WORTH_A_PROCESS:
        return 0
    return max(0, min(_MOST, cores() // here - 1, _MOST if room is None else room))


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
