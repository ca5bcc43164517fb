"""The program as processes: alone, relaunched for several devices, under torchrun, asked to stop, and killed.

Every run here takes the same 60 steps in batches of two parts, whoever computes these, so they all end alike.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import psmt_viz
from psmt_viz.cli import main

MODULE = [sys.executable, "-m", "psmt_viz.cli"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
STEPS, CHECKPOINT = 60, 4
SETTINGS = [
    *("--device", "cpu", "--split", "1_2", "--crop", "48", "--long-side", "48", "64", "--confidence", "0"),
    *("--steps-per-epoch", "20", "--warmup-steps", "20", "--epochs", "2", "--ramp-epochs", "1", "--val-every", "3"),
    *("--batch-labeled", "2", "--batch-unlabeled", "2", "--lr", "0.02", "--checkpoint-steps", str(CHECKPOINT)),
    *("--aspp-channels", "8", "--low-channels", "8", "--decoder-channels", "8"),
]
TWO, ONE = ["--devices", "2"], ["--accumulate", "2"]
"""Two processes with a part each, or one with both."""
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
        (home / "sitecustomize.py").write_text(RECORDER + code)
        path = os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._output = (home / "output").open("w+")
        self._errors = (home / "errors").open("w+")
        self.process = subprocess.Popen(
            [*command, "train", *arguments, "--out", str(self.folder)],
            cwd=home,
            env=os.environ | {"PYTHONPATH": path, "RECORDS": str(self._records)},
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


@pytest.fixture
def start(blocks_folder: Path, tmp_path: Path) -> Iterator[Callable[..., Training]]:
    """Starts a training of `SETTINGS`, in a new folder or in a copy of one."""
    started: list[Training] = []

    def call(*arguments: str, command: list[str] = MODULE, after: Path | None = None, code: str = "") -> Training:
        home = tmp_path / str(len(started))
        if after is not None:
            shutil.copytree(after, home / "run")
        started.append(Training(command, ["--data", str(blocks_folder), *settings(*arguments)], home, code))
        return started[-1]

    yield call
    for training in started:
        training.clear()


def here(data: Path, *arguments: str, out: Path) -> int:
    """Runs a training of `SETTINGS` inside the test's own process, which costs no start."""
    return main(["train", "--data", str(data), *settings(*arguments), "--out", str(out)])


@pytest.fixture(scope="module")
def straight(blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of one process."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    assert here(blocks_folder, *ONE, out=folder) == 0
    return folder


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


# Several processes.


def test_two_devices_are_one_run(start: Callable[..., Training], straight: Path) -> None:
    training = start(*TWO, command=[str(Path(sys.executable).with_name("psmt-viz"))])
    assert training.end() == 0, training.told()
    assert len(training.others) == 1
    assert training.writers() == {training.process.pid}
    out, err = training.told()
    assert out.count("results: ") == 1
    steps = Counter(line.split(",")[0] for line in err.splitlines() if line.startswith("train "))
    assert steps[f"train {STEPS}/{STEPS}"] == 1 and set(steps.values()) == {1}
    assert errors_in(err) == []
    assert_alike(training.folder, straight)


def test_torchrun_starts_the_processes_itself(start: Callable[..., Training], straight: Path) -> None:
    training = start(command=[*TORCHRUN, "-m", "psmt_viz.cli"])
    assert training.end() == 0, training.told()
    assert len(training.writers()) == 1
    assert training.told()[0].count("results: ") == 1
    assert_alike(training.folder, straight)


def test_a_worker_that_is_killed_ends_the_run_which_can_be_resumed(
    start: Callable[..., Training], straight: Path, blocks_folder: Path, tmp_path: Path
) -> None:
    training = start(*TWO)
    training.wait_for_checkpoint()
    (worker,) = training.others
    began = time.monotonic()
    os.kill(worker, signal.SIGKILL)
    assert training.end() not in (0, None)
    assert time.monotonic() - began < 60
    assert len(errors_in(training.told()[1])) <= 1
    assert "Traceback" not in training.told()[1]
    assert CHECKPOINT <= taken(training.folder) < STEPS
    alone = Path(shutil.copytree(training.folder, tmp_path / "alone" / "run"))
    assert here(blocks_folder, *ONE, "--resume", out=alone) == 0
    assert_alike(alone, straight)
    again = start(*TWO, "--resume", after=training.folder)
    assert again.end() == 0, again.told()
    assert_alike(again.folder, straight)


@pytest.mark.parametrize("everyone", [False, True])
def test_two_devices_that_are_asked_to_stop(
    start: Callable[..., Training], straight: Path, blocks_folder: Path, everyone: bool
) -> None:
    """A scheduler asks the first process; Ctrl-C on a terminal asks all of them."""
    training = start(*TWO)
    training.wait_for_checkpoint()
    if everyone:
        os.killpg(training.process.pid, signal.SIGINT)
    else:
        training.process.send_signal(signal.SIGTERM)
    assert training.end() == (130 if everyone else 143), training.told()
    err = training.told()[1]
    assert err.count("stopped; finished work is kept") == 1
    assert "Traceback" not in err and errors_in(err) == []
    assert CHECKPOINT < taken(training.folder) < STEPS
    assert here(blocks_folder, *ONE, "--resume", out=training.folder) == 0
    assert_alike(training.folder, straight)


# One process.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_and_resumed(
    start: Callable[..., Training],
    straight: Path,
    blocks_folder: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    training = start(*ONE)
    training.wait_for_checkpoint()
    training.process.send_signal(number)
    assert training.end() == 128 + number, training.told()
    assert training.told()[1].splitlines()[-1].startswith("stopped")
    assert CHECKPOINT <= taken(training.folder) < STEPS
    # What numbers do not depend on may change; what they depend on may not.
    before = {path.name: path.read_bytes() for path in training.folder.iterdir()}
    for fixed_settings in (["--lr", "0.03"], ["--seed", "1"], ["--eps", "3"], ["--epochs", "3"], ["--accumulate", "1"]):
        assert here(blocks_folder, *ONE, *fixed_settings, "--resume", out=training.folder) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: expected the settings and data that")
    assert {path.name: path.read_bytes() for path in training.folder.iterdir()} == before
    neutral = ["--workers", "1", "--checkpoint-steps", "7"] if number == signal.SIGINT else []
    assert here(blocks_folder, *ONE, *neutral, "--resume", out=training.folder) == 0
    assert_identical(training.folder, straight)


def test_the_process_ends_with_the_status_and_one_line(blocks_folder: Path, tmp_path: Path) -> None:
    good = shell("checks", "--data", blocks_folder, "--out", "out", cwd=tmp_path)
    assert good.returncode == 0
    assert all(", ETA " in line for line in good.stderr.splitlines())
    assert good.stdout.splitlines()[-1].startswith("results: out")
    bad = shell("data", "nowhere", "--out", "other", cwd=tmp_path)
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.count("\n") == 1
    assert bad.stderr.startswith("error: expected a folder nowhere, got nothing there; ")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")] == ["out/checks.csv"]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (["--tracker", "nowhere:Tracker"], "--tracker nowhere:Tracker"),
        (["--backbone", "resnet5000"], "--backbone a model name"),
        (["--lr", "1e20"], "a finite loss"),  # only the steps show it, in both processes
    ],
)
def test_a_mistake_is_told_once_by_two_processes(
    start: Callable[..., Training], mistake: list[str], words: str
) -> None:
    training = start(*TWO, *mistake)
    assert training.end() == 2, training.told()
    out, err = training.told()
    (line,) = errors_in(err)
    assert words in line
    assert "Traceback" not in err and "results: " not in out


def test_two_processes_whose_clocks_differ_end_together(start: Callable[..., Training]) -> None:
    """A checkpoint by the clock is where a loss that is not finite ends a process; no other may be left behind."""
    often = ["--checkpoint-minutes", "1e-9", "--checkpoint-steps", "1000", "--log-every", "1000"]
    training = start(*TWO, *often, "--lr", "1e20", code=STANDING_CLOCK)
    assert training.end() == 2, training.told()
    (line,) = errors_in(training.told()[1])
    assert "a finite loss" in line


def test_the_installed_command_is_this_program(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("psmt-viz")
    if not command.exists():
        pytest.skip("psmt-viz is not installed beside this Python")
    found = subprocess.run([command, "--version"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (found.returncode, found.stdout.strip()) == (0, psmt_viz.__version__)


def test_help_needs_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom psmt_viz.cli import main\nassert main(['train', '--help']) == 0\n"
        "print([name for name in ('torch', 'torchvision', 'matplotlib', 'sklearn', 'timm') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False, env=os.environ
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "[]"
