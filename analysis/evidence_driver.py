"""Trains and measures the runs of the evidence: several at once, resumable at any time, none twice."""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from evidence_grid import Cell, flip_epochs, flips_folder, labeled_folder
from evidence_tables import MACHINE, check_settings, finished

from psmt_viz.errors import UserError
from psmt_viz.files import read_json, write_json
from psmt_viz.results import Evaluation, Flips
from psmt_viz.runs import Run


class Driver:
    """Trains and measures runs, several at once, each in its own process.

    Args:
        options: The command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self._stopped = threading.Event()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock: int | None = None

    def folder(self, cell: Cell) -> Path:
        """Returns the folder of a run."""
        return self.options.runs / cell.name

    def missing(self, cell: Cell) -> list[list[str]]:
        """Returns the commands that a run still needs, in order."""
        folder, device = self.folder(cell), self.options.device
        done = finished(folder)
        commands = [] if done else [cell.train(folder, self.options.data, device)]
        if not (labeled_folder(folder) / Evaluation.FACTS).is_file():
            commands.append(cell.score_labeled(folder, self.options.data, device))
        if cell.perturbed:
            method = (Run.open(folder).config if done else cell.config()).method
            # The facts are written last.
            epochs = [e for e in flip_epochs(method) if not (flips_folder(folder, e) / Flips.FACTS).is_file()]
            commands += [cell.perturb(folder, epoch, self.options.data, device) for epoch in epochs]
        return commands

    def work(self, wanted: Sequence[Cell]) -> Generator[Cell, None, None]:
        """Trains what is missing, then measures what is to be measured; yields each run that has made progress.

        Closing the iterator stops everything, once every training has written its checkpoint.
        """
        self._stopped.clear()
        self.options.runs.mkdir(parents=True, exist_ok=True)
        # Processes that a killed driver leaves behind hold the lock until they end, so no run is trained twice at once.
        with (
            locked(self.options.runs / f".{self.options.preset}") as self._lock,
            ThreadPoolExecutor(self.options.jobs) as pool,
        ):
            try:
                for stage in (self._train, self._measure):
                    futures = {pool.submit(self._told, stage, cell): cell for cell in wanted}
                    for future in as_completed(futures):
                        if future.result():
                            yield futures[future]
            finally:
                self._stopped.set()
                for child in list(self._children):
                    child.terminate()  # training answers with a checkpoint

    def _told(self, stage: Callable[[Cell], bool], cell: Cell) -> bool:
        try:
            return stage(cell)
        except UserError as error:  # of this run's files; the others go on
            print(f"{cell.name}: {error}", flush=True)
            return False

    def _train(self, cell: Cell) -> bool:
        """Trains a run; False if it is finished already, or if that failed or was stopped."""
        if finished(self.folder(cell)) or self._stopped.is_set():
            return False
        self._note_machine(self.folder(cell))
        return self._do(cell, self.missing(cell)[:1])

    def _measure(self, cell: Cell) -> bool:
        """Scores a finished run on its labels, and perturbs it, where that is missing; False as for training."""
        if not finished(self.folder(cell)):
            return False
        check_settings(cell, Run.open(self.folder(cell)))
        commands = self.missing(cell)
        return bool(commands) and self._do(cell, commands)

    def _do(self, cell: Cell, commands: Sequence[Sequence[str]]) -> bool:
        started, log = time.monotonic(), self.options.runs / f"{cell.name}.log"
        for command in commands:
            status = 0 if self._stopped.is_set() else self._call(command, log)
            if self._stopped.is_set():
                return False
            if status or command in self.missing(cell):
                print(f"{cell.name}: {command[1]} failed with status {status}; see {log}", flush=True)
                return False
        print(f"{cell.name}: {commands[0][1]}, {(time.monotonic() - started) / 60:.1f} min", flush=True)
        return True

    def _call(self, command: Sequence[str], log: Path) -> int:
        # A group of its own: Ctrl-C reaches the driver alone, which hands it on once. The lock goes along.
        words, threads = [sys.executable, "-m", "psmt_viz.cli", *command[1:]], str(self.options.threads)
        assert self._lock is not None
        with log.open("ab") as output:
            child = subprocess.Popen(
                words, stdout=output, stderr=output, start_new_session=True, pass_fds=(self._lock,),
                env=os.environ | {"OMP_NUM_THREADS": threads},
            )  # fmt: skip
            self._children.add(child)
            if self._stopped.is_set():  # while it was being started
                child.terminate()
            try:
                return child.wait()
            finally:
                self._children.discard(child)

    def _note_machine(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        known = read_json(folder / MACHINE) if (folder / MACHINE).is_file() else []
        name = machine(self.options.device, self.options.threads)
        if not known or known[-1] != name:
            write_json(folder / MACHINE, [*known, name])


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Waits until no other process holds a lock; yields its descriptor, which a child can be given to hold it too.

    Args:
        path: A folder that is there, or a file, made if need be.
    """
    file = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process that works on {path}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def machine(device: str, threads: int) -> str:
    """Returns the name of the hardware that computes."""
    if device in ("auto", "cuda"):
        import torch

        if torch.cuda.is_available():
            return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {threads} of {os.cpu_count()} cores"
