"""The program as processes: alone, relaunched for several devices, under torchrun, asked to stop, and killed.

Every run here takes the same 24 steps in batches of two micro-batches, whoever computes these, so they all end alike.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import psmt_viz
from tests.processes import (
    CHECKPOINT,
    MODULE,
    ONE,
    STANDING_CLOCK,
    STEPS,
    TORCHRUN,
    TWO,
    Training,
    assert_alike,
    assert_identical,
    errors_in,
    here,
    settings,
    shell,
    taken,
)


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


@pytest.fixture(scope="module")
def straight(blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of one process."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    assert here(blocks_folder, *ONE, out=folder) == 0
    return folder


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
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert made == {"out/checks.csv", "out/classes.csv", "out/checks.png"}


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
