"""A run that is killed twenty times, anywhere, and ends with the bytes of one that never was.

Each attempt is a process of its own that SIGKILL really ends. A server that has imported everything forks them, so that
an attempt costs its work and not torch's import; the last one is the command itself. Costs about a minute.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from psmt_viz.cli import main
from psmt_viz.files import read_json
from psmt_viz.train import history
from tests.commands import blank_figures
from tests.processes import BLANK_FIGURES, starting_with

KILLS, WRITES = 20, 8
"""Kills in all; those of them that wait for a checkpoint being written."""
STEPS, EPOCH, EVERY = 40, 10, 3
COMMAND = [
    *("train", "--preset", "scenes", "--device", "cpu", "--split", "1_4", "--crop", "48", "--long-side", "48", "64"),
    *("--steps-per-epoch", str(EPOCH), "--warmup-steps", str(EPOCH), "--epochs", "3", "--ramp-epochs", "2"),
    *("--batch-labeled", "2", "--batch-unlabeled", "2", "--confidence", "0", "--val-every", "2", "--lr", "0.02"),
    *("--aspp-channels", "8", "--aspp-rates", "1", "2", "--low-channels", "4", "--decoder-channels", "8"),
    *("--checkpoint-steps", str(EVERY), "--keep-last", "2"),
]
NOT_REPEATED = {"timing.csv", "state.pt"}
"""Files that hold times."""
SIGNED = {"last.safetensors", "best.safetensors", "epoch-0003.safetensors", "epoch-0004.safetensors", "metrics.csv"}
SIGNED |= {"evaluation.csv", "evaluation.json", "confusion.csv", "config.json"}

Position = tuple[int, int]
"""Where a checkpoint lies: steps taken, epochs finished."""
START: Position = (0, 0)


def checkpoints() -> list[Position]:
    """Those of an uninterrupted run, in order: inside epochs and at their ends."""
    found = []
    for step in range(1, STEPS + 1):
        if step % EVERY == 0:
            found.append((step, (step - 1) // EPOCH))
        if step % EPOCH == 0:
            found.append((step, step // EPOCH))
    return found


def command(data: Path, folder: Path) -> list[str]:
    return [*COMMAND, "--data", str(data), "--out", str(folder), "--resume"]


def attempt(data: Path, folder: Path, log: Path) -> None:
    """What a forked process does: the command, with its words in a file."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    with blank_figures():
        sys.exit(main(command(data, folder)))


def recorded(data: Path, folder: Path, log: Path, times: Path) -> None:
    """The same, which notes each checkpoint once it counts; seen from outside, one may be missed."""
    save = history.save_state

    def noted(folder: Path, state: Mapping[str, Any]) -> None:
        save(folder, state)
        with times.open("a") as file:
            file.write(f"{state['step']},{len(state['metrics'])},{time.monotonic()}\n")

    history.save_state = noted  # of this process alone
    attempt(data, folder, log)


def unfinished(folder: Path) -> set[str]:
    return {name for name in os.listdir(folder) if name.startswith(".")}  # noqa: PTH208 (it is polled)


class Watch:
    """Looks at the folder of a running attempt from outside."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.pt"
        self._inode = self._look()
        self.position, self.since = position(folder), time.monotonic()

    def _look(self) -> int | None:
        try:
            return self._state.stat().st_ino
        except FileNotFoundError:
            return None

    def moved(self) -> bool:
        """Whether another checkpoint counts now."""
        if (inode := self._look()) == self._inode:
            return False
        self._inode, self.since = inode, time.monotonic()
        self.position = position(self._state.parent)
        return True


def position(folder: Path) -> Position:
    if not (folder / "state.pt").exists():
        return START
    state = torch.load(folder / "state.pt", weights_only=True, mmap=True)
    return state["step"], len(state["metrics"])


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds after a checkpoint, or at the first write of one after it."""

    checkpoint: Position
    seconds: float
    writing: bool


@dataclass
class Killed:
    """The folder of a run, and what killing it hit."""

    folder: Path
    hits: list[tuple[Position, set[str]]] = field(default_factory=list)
    """Position of the last checkpoint, and the files that were being written."""


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Makes processes from one that has imported everything, has no threads and has done nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["psmt_viz.cli", "psmt_viz.subject", "psmt_viz.train.session", __name__])
    first = context.Process(target=os.getpid)
    first.start()  # and with it the server, whose imports belong to no attempt
    first.join()
    return context


@dataclass
class Straight:
    folder: Path
    timeline: list[tuple[Position, float]]
    """Checkpoints with the seconds from the process's start to them."""


@pytest.fixture(scope="module")
def straight(processes: ForkServerContext, blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Straight:
    """An uninterrupted run."""
    made = tmp_path_factory.mktemp("straight")
    folder, times = made / "run", made / "times.csv"
    folder.mkdir()
    started = time.monotonic()
    process = processes.Process(target=recorded, args=(blocks_folder, folder, made / "log", times))
    process.start()
    process.join()
    assert process.exitcode == 0, (made / "log").read_text()
    saved = [line.split(",") for line in times.read_text().splitlines()]
    timeline = [(START, 0.0), *(((int(step), int(epochs)), float(at) - started) for step, epochs, at in saved)]
    assert [where for where, _ in timeline[1:]] == checkpoints()
    return Straight(folder, timeline)


def moments(timeline: list[tuple[Position, float]], rng: random.Random) -> list[Moment]:
    """Draws moments from equal parts of the run's time, one each, so that they cover it."""
    end, waiting = timeline[-1][1], set(rng.sample(range(KILLS), WRITES))
    drawn = []
    for index in range(KILLS):
        at = end * (index + rng.random()) / KILLS
        checkpoint, seen = next((where, when) for where, when in reversed(timeline) if when <= at)
        drawn.append(Moment(checkpoint, at - seen, index in waiting))
    return drawn


def kill_at(moment: Moment, start: Callable[[], BaseProcess], folder: Path, log: Path, *, starting: float) -> set[str]:
    """Runs until a moment and kills; returns what was being written.

    A checkpoint that is being written although its moment has not come ends the wait too, so that a machine that is
    faster now does not run to the end.
    """
    before = unfinished(folder)
    process = start()
    watch = Watch(folder)
    # An attempt that resumes before it is killed needs its start first.
    seconds = moment.seconds + (starting if START < moment.checkpoint <= watch.position else 0.0)
    process.start()
    while process.is_alive():
        time.sleep(0.001)
        watch.moved()
        if watch.position < moment.checkpoint:
            continue
        writing = any(name.startswith(".state-") for name in unfinished(folder) - before)
        if writing or (not moment.writing and time.monotonic() - watch.since >= seconds):
            break
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, log.read_text()
    return unfinished(folder) - before


def check_readable(folder: Path) -> None:
    """Every file with a final name is whole."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        match path.suffix:
            case ".safetensors":
                assert all(values.isfinite().all() for values in load_file(path).values()), path
            case ".csv":
                assert len(pd.read_csv(path)), path
            case ".json":
                assert read_json(path), path
            case ".png":
                with Image.open(path) as image:
                    image.load()
            case ".pt":
                state = torch.load(path, weights_only=True)
                networks = state["networks"].values()
                assert all(values.isfinite().all() for each in networks for values in each.values()), path
            case _:
                raise AssertionError(path)


@pytest.fixture(scope="module")
def killed(
    straight: Straight, processes: ForkServerContext, blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Killed]:
    """The same run, killed and resumed over and over, and brought to its end by the command itself."""
    made = tmp_path_factory.mktemp("killed")
    run = Killed(made / "run")
    run.folder.mkdir()
    start = partial(processes.Process, target=attempt, args=(blocks_folder, run.folder, made / "log"))
    first, second = straight.timeline[1][1], straight.timeline[2][1]
    for moment in moments(straight.timeline, random.Random(0)):
        starting = max(0.0, first - (second - first))
        written = kill_at(moment, start, run.folder, made / "log", starting=starting)
        check_readable(run.folder)
        run.hits.append((position(run.folder), written))
    whole = [sys.executable, "-m", "psmt_viz.cli", *command(blocks_folder, run.folder)]
    blank = starting_with(BLANK_FIGURES, made)
    last = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=300, env=blank)
    assert last.returncode == 0, last.stderr
    yield run
    names = Counter(name.split("-")[0] for _, written in run.hits for name in written)
    told = ", ".join(f"{count} writing {name[1:]}" for name, count in sorted(names.items()))
    idle = sum(not written for _, written in run.hits)
    print(f"\n{len(run.hits)} kills: {told}, {idle} between writes; after {[where for where, _ in run.hits]}")


def test_kills_hit_the_whole_run_and_checkpoints_being_written(killed: Killed) -> None:
    assert len(killed.hits) == KILLS
    assert sum(any(name.startswith(".state-") for name in written) for _, written in killed.hits) >= 3
    assert sum(not written for _, written in killed.hits) >= 3
    reached = [where for where, _ in killed.hits]
    assert reached == sorted(reached)
    assert {step // EPOCH for step, _ in reached} >= set(range(STEPS // EPOCH))  # in every epoch


def test_the_end_is_that_of_an_uninterrupted_run(straight: Straight, killed: Killed) -> None:
    both = [{path.name: path for path in folder.iterdir()} for folder in (straight.folder, killed.folder)]
    assert set(both[0]) == set(both[1]) >= SIGNED | NOT_REPEATED  # and nothing unfinished is left lying about
    for name in set(both[0]) - NOT_REPEATED:
        assert both[0][name].read_bytes() == both[1][name].read_bytes(), name
    first, second = (torch.load(each["state.pt"], weights_only=True) for each in both)
    for role, optimizer in first["optimizers"].items():
        for index, values in optimizer["state"].items():
            assert values["momentum_buffer"].equal(second["optimizers"][role]["state"][index]["momentum_buffer"])
