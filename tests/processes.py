"""Trainings as processes of their own: how they are started, watched and compared."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file

from psmt_viz.cli import main
from tests.commands import blank_figures

ROOT = Path(__file__).parents[1]
MODULE = [sys.executable, "-m", "psmt_viz.cli"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
EPOCH, CHECKPOINT = 8, 4
STEPS = 3 * EPOCH
SETTINGS = [
    *("--device", "cpu", "--split", "1_2", "--crop", "48", "--long-side", "48", "64", "--confidence", "0"),
    *("--steps-per-epoch", str(EPOCH), "--warmup-steps", str(EPOCH), "--epochs", "2", "--ramp-epochs", "1"),
    *("--val-every", "3"),
    *("--batch-labeled", "2", "--batch-unlabeled", "2", "--lr", "0.02", "--checkpoint-steps", str(CHECKPOINT)),
    *("--aspp-channels", "8", "--low-channels", "8", "--decoder-channels", "8"),
]
TWO, ONE = ["--devices", "2"], ["--accumulate", "2"]
"""Two processes with a micro-batch each, or one with both."""
FILES = {
    *("config.json", "metrics.csv", "timing.csv", "state.pt", "last.safetensors", "best.safetensors"),
    *("evaluation.csv", "evaluation.json", "confusion.csv", "results.png", "batch.png", "confusion.png"),
}
NOT_REPEATED = {"timing.csv", "state.pt"}
"""Files that hold times."""
RECORDER = '''
"""Writes down which paths a process opens for writing, renames, removes or makes; imported by Python at its start."""
import os, sys
log = open(os.path.join(os.environ["RECORDS"], str(os.getpid())), "a", buffering=1)
def record(event, values):
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    if event in ("os.rename", "os.remove", "os.mkdir") or event == "open" and values[2] & writing:
        log.write(f"{os.path.abspath(os.fsdecode(values[0])) if not isinstance(values[0], int) else values[0]}\\n")
sys.addaudithook(record)
'''
BLANK_FIGURES = """
from tests.commands import blank_figures
blank = blank_figures(page=False)
blank.__enter__()
"""
"""What saves a process the time of drawing, where nobody looks."""
STANDING_CLOCK = """
import time
if os.environ.get("LOCAL_RANK", "0") != "0":
    time.monotonic = lambda: 0.0
"""
"""What makes the clocks of two processes differ, as far as they can."""


def shell(*arguments: Any, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [*MODULE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=300)


def settings(*changed: str) -> list[str]:
    """`SETTINGS`, some changed."""
    flags: dict[str, list[str]] = {}
    for word in [*SETTINGS, *changed]:
        if word.startswith("--"):
            values = flags[word] = []
        else:
            values.append(word)
    return [word for flag, values in flags.items() for word in (flag, *values)]


def starting_with(code: str, folder: Path) -> dict[str, str]:
    """The environment of a Python that runs some code at its start, which lies in a folder."""
    (folder / "sitecustomize.py").write_text(code)
    path = [str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(path)}


class Training:
    """A training in processes of its own; each writes down which files it writes.

    Args:
        command: What comes before `train`.
        arguments: What comes after it.
        home: Where it works and keeps its records; the run folder is `run` therein.
        code: Run by each process at its start.
    """

    def __init__(self, command: list[str], arguments: list[str], home: Path, code: str = "") -> None:
        self.folder, self._records = home / "run", home / "records"
        self._records.mkdir(parents=True, exist_ok=True)
        self._output = (home / "output").open("w+")
        self._errors = (home / "errors").open("w+")
        self.process = subprocess.Popen(
            [*command, "train", *arguments, "--out", str(self.folder)],
            cwd=home,
            env=starting_with(RECORDER + BLANK_FIGURES + code, home) | {"RECORDS": str(self._records)},
            stdout=self._output,
            stderr=self._errors,
            start_new_session=True,
        )

    @property
    def others(self) -> list[int]:
        """Python processes beside the first, by their ids."""
        return [int(path.name) for path in self._records.iterdir() if int(path.name) != self.process.pid]

    def writers(self) -> set[int]:
        """Processes that touched anything in the run folder."""
        return {
            int(path.name)
            for path in self._records.iterdir()
            if any(line.startswith(str(self.folder.resolve())) for line in path.read_text().splitlines())
        }

    def wait_for_checkpoint(self) -> None:
        """Waits until it has taken some steps and has most of them before it."""
        until = time.monotonic() + 300
        while not (self.folder / "state.pt").exists():
            assert self.process.poll() is None and time.monotonic() < until, self.told()
            time.sleep(0.01)

    def end(self) -> int:
        """Waits for the end and returns the status; no process is left after a while."""
        status = self.process.wait(timeout=300)
        until = time.monotonic() + 60
        while any(map(alive, self.others)):
            assert time.monotonic() < until, "a process is left"
            time.sleep(0.05)
        return status

    def told(self) -> tuple[str, str]:
        """Standard output and standard error of all processes together."""
        texts = []
        for file in (self._output, self._errors):
            file.seek(0)
            texts.append(file.read())
        return texts[0], texts[1]

    def clear(self) -> None:
        """Ends what is left and closes the files."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._output.close()
        self._errors.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def here(data: Path, *arguments: str, out: Path) -> int:
    """Runs a training of `SETTINGS` inside the test's own process, which costs no start."""
    with blank_figures():
        return main(["train", "--data", str(data), *settings(*arguments), "--out", str(out)])


def taken(folder: Path) -> int:
    return int(torch.load(folder / "state.pt", weights_only=True)["step"])


def assert_identical(folder: Path, straight: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES
    # The number of parts a device and what it writes when may differ in what was asked for.
    for name in FILES - NOT_REPEATED - {"config.json"}:
        assert (folder / name).read_bytes() == (straight / name).read_bytes(), name


def assert_alike(folder: Path, straight: Path) -> None:
    """Same files, and the same numbers but for the order in which sums were taken."""
    assert {path.name for path in folder.iterdir()} == FILES
    ours, theirs = (pd.read_csv(each / "metrics.csv") for each in (folder, straight))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-5, atol=1e-6)
    weights = [load_file(each / "last.safetensors") for each in (folder, straight)]
    assert weights[0].keys() == weights[1].keys()
    for name, values in weights[0].items():
        torch.testing.assert_close(values, weights[1][name], rtol=1e-5, atol=1e-5, msg=name)


def errors_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error: ")]
