"""What does PS-MT bring? Trains a grid of runs, one row a run, and draws every exhibit from the tables alone.

Claims:   PS-MT beats training on the labels alone; the teachers' ensemble lies above the student during training; after
          training a single teacher equals the ensemble (within 0.17 points); T-VAT perturbs more than VAT.
Command:  python analysis/evidence.py                                       # the exhibits again, from the tables alone
          python analysis/evidence.py scenes --jobs 2                       # trains what is missing, then as above
          python analysis/evidence.py voc_mini --data DIR --jobs 2
          python analysis/evidence.py voc --data ~/VOC2012 --dry-run -- --devices 4
          python analysis/evidence.py voc_mini --data DIR --variant r50 -- --backbone resnet50 --crop 321
Cost:     the exhibits 15 s. On 2 cores scenes an hour, voc_mini four for split 1_8 and five for the others, camvid one
          and a half. Stopped at any time, the same command goes on where it was. Weights of a run of images: 0.7 GB.
Expected: analysis/results/evidence/: runs.csv (a row a run), classes, epochs, flips and paired.csv, and the exhibits.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from evidence_figures import write_exhibits
from evidence_grid import ARMS, GRID, RATIOS, Cell, cells, flip_epochs, flips_folder
from evidence_tables import MACHINE, Tables, compared, finished, measured

from psmt_viz.errors import UserError
from psmt_viz.files import read_json, write_json
from psmt_viz.results import Flips
from psmt_viz.runs import Run

RESULTS = Path(__file__).parent / "results" / "evidence"
RUNS = Path("runs/evidence")


class Driver:
    """Brings runs to their end, several at once, each in a process of its own.

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
        """Returns the commands that a run still needs, in their order."""
        folder, device = self.folder(cell), self.options.device
        done = finished(folder)
        commands = [] if done else [cell.train(folder, self.options.data, device)]
        if cell.perturbed:
            method = (Run.open(folder).config if done else cell.config()).method
            # The facts are written last.
            epochs = [e for e in flip_epochs(method) if not (flips_folder(folder, e) / Flips.FACTS).is_file()]
            commands += [cell.perturb(folder, epoch, device) for epoch in epochs]
        return commands

    def work(self, wanted: Sequence[Cell]) -> Generator[Cell, None, None]:
        """Trains what is missing, then measures perturbations; yields each run that has got further.

        Closing the iterator stops everything, once every training has written its checkpoint.
        """
        self._stopped.clear()
        self.options.runs.mkdir(parents=True, exist_ok=True)
        # What a killed driver leaves at work holds the lock until it ends: no run is trained twice at a time.
        with (
            locked(self.options.runs / f".{self.options.preset}") as self._lock,
            ThreadPoolExecutor(self.options.jobs) as pool,
        ):
            try:
                for stage in (self._train, self._perturb):
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

    def _perturb(self, cell: Cell) -> bool:
        """Measures what perturbations of a finished run are missing; False as for training."""
        commands = self.missing(cell) if finished(self.folder(cell)) else []
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
        before = read_json(folder / MACHINE) if (folder / MACHINE).is_file() else []
        if [name := machine(self.options.device, self.options.threads)] != before[-1:]:
            write_json(folder / MACHINE, [*before, name])


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Waits until no other process holds a lock; yields its descriptor, which a child can be given to hold it too.

    Args:
        path: A folder that is there, or a file, made if need be.
    """
    file = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for what is at work on {path}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def machine(device: str, threads: int) -> str:
    """Returns in words what computes."""
    if device in ("auto", "cuda"):
        import torch

        if torch.cuda.is_available():
            return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {threads} of {os.cpu_count()} cores"


def gather(runs: Path, grid: Sequence[Cell], folder: Path) -> Tables:
    """Returns the tables in a folder with the finished runs among `grid` brought up to date.

    A run that cannot be read, or has other settings than its cell, is told and left out.
    """
    found = []
    for cell in grid:
        try:
            if finished(runs / cell.name):
                found.append(measured(cell, runs / cell.name))
        except UserError as error:
            print(f"{cell.name} is left out: {error}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        tables = Tables.load(folder).updated(found)
        tables.save(folder)
    return tables


def check(wanted: Sequence[Cell]) -> None:
    """Refuses flags that make other settings than the preset's, unless these have a name.

    Raises:
        UserError: in that case, and if the flags are wrong.
    """
    for cell in wanted:
        if compared(cell.config()) != compared(replace(cell, flags=()).config()) and not cell.variant:
            flags = shlex.join(cell.flags)
            raise UserError(f"the settings of {cell.preset}", flags, "name other ones with --variant NAME")


def show(driver: Driver, wanted: Sequence[Cell]) -> None:
    """Prints the commands that are missing, and below the first of each kind of training what it would do."""
    seen = set()
    for cell in wanted:
        commands = driver.missing(cell)
        print(f"# {cell.name}{'' if commands else ': finished'}")
        for command in commands:
            print(shlex.join(command), flush=True)
            if command[1] == "train" and (cell.split, cell.arm) not in seen:
                seen.add((cell.split, cell.arm))
                subprocess.run([sys.executable, "-m", "psmt_viz.cli", *command[1:], "--dry-run"], check=True)


def name_of_variant(text: str) -> str:
    """Reads a name that goes into those of folders, between hyphens.

    Raises:
        argparse.ArgumentTypeError: if it holds anything but letters, digits and underscores.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]*", text):
        raise argparse.ArgumentTypeError(f"expected letters, digits and underscores, got {text!r}")
    return text


def read_command() -> tuple[argparse.Namespace, list[Cell]]:
    """Returns the command line and the runs that it asks for; ends with status 2 where it is wrong."""
    own, flags = sys.argv[1:], []
    if "--" in own:
        own, flags = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", nargs="?", choices=GRID, help="left out, nothing is trained")
    parser.add_argument("--data", help="the folder of images, for every preset but scenes")
    parser.add_argument("--splits", nargs="+", choices=RATIOS, default=[], help="left out, all of the grid")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[], help="left out, all of the grid")
    parser.add_argument("--seeds", type=int, nargs="+", default=[], help="left out, all of the grid")
    parser.add_argument(
        "--variant", type=name_of_variant, default="", help="a name for other settings, whose flags follow behind `--`"
    )
    parser.add_argument("--runs", type=Path, default=RUNS, help="where the runs lie")
    parser.add_argument("--tables", type=Path, default=RESULTS, help="where the tables lie")
    parser.add_argument("--out", type=Path, help="where the exhibits go; left out, beside the tables")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--threads", type=int, help="of each training; left out, the cores over --jobs")
    parser.add_argument("--dry-run", action="store_true", help="print the commands that are missing, and their plans")
    options = parser.parse_args(own)
    options.out = options.out or options.tables
    if options.preset is None:
        return options, []
    if (options.preset == "scenes") == bool(options.data):
        parser.error("--data DIR belongs to every preset but scenes")
    options.threads = options.threads or max(1, (os.cpu_count() or 1) // options.jobs)
    parts = {name: getattr(options, name) for name in ("splits", "arms", "seeds", "variant")}
    if not (wanted := list(cells(options.preset, **parts, flags=flags))):
        parser.error(f"the grid of {options.preset} has no such runs")
    return options, wanted


def main() -> int:
    """Trains what is asked for and missing, brings the tables up to date and draws."""
    options, wanted = read_command()
    if not wanted:
        with locked(options.tables) if options.tables.is_dir() else nullcontext():
            tables = Tables.load(options.tables)
        write_exhibits(tables, options.out)
        return 0
    check(wanted)
    driver = Driver(options)
    if options.dry_run:
        show(driver, wanted)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with closing(driver.work(wanted)) as further:
            for _ in further:
                gather(options.runs, wanted, options.tables)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    tables = gather(options.runs, wanted, options.tables)
    write_exhibits(tables, options.out)
    return 1 if any(map(driver.missing, wanted)) or {cell.name for cell in wanted} - {*tables.runs["run"]} else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
