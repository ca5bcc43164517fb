"""What commands are run in: pipes that are closed early, poor encodings, and the environment of a notebook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import PROGRESS


def program(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "psmt_viz", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_the_package_itself_is_the_program() -> None:
    found = program("--version")
    assert found.returncode == 0
    assert found.stdout == program("--version", PYTHONIOENCODING="ascii").stdout


@pytest.mark.parametrize(
    "words", [["data", "scenes"], ["train", "--help"], ["checks", "--data", "DATA", "--out", "OUT"]]
)
def test_a_reader_that_goes_away_is_no_error(blocks_folder: Path, tmp_path: Path, words: list[str]) -> None:
    given = {"DATA": str(blocks_folder), "OUT": str(tmp_path / "out")}
    command = [sys.executable, "-m", "psmt_viz", *(given.get(word, word) for word in words)]
    reading, writing = os.pipe()
    os.close(reading)  # gone before the first line
    found = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    told = [line for line in found.stderr.splitlines() if not PROGRESS.search(line)]
    assert (found.returncode, told) == (0, [])


def test_a_pipe_that_breaks_elsewhere_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from psmt_viz.cli import main

    def breaks(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("psmt_viz.data.open_data", breaks)
    assert main(["data"]) == 2
    assert "Broken pipe" in capsys.readouterr().err


def test_names_that_the_encoding_lacks_are_escaped(blocks_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "Stra\u00dfe"
    found = program("checks", "--data", blocks_folder, "--out", out, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert found.returncode == 0
    assert found.stdout.splitlines()[-1] == f"results: {tmp_path}/Stra\\xdfe/checks.csv"


@pytest.mark.parametrize(
    "environment",
    [{"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, {"HOME": "/proc/nowhere", "MPLCONFIGDIR": ""}],
)
def test_figures_are_drawn_whatever_the_environment_says(
    psmt_run: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    found = program("curves", psmt_run, "--out", tmp_path / "out", **environment)
    assert (found.returncode, found.stderr) == (0, "")
    assert (tmp_path / "out" / "fig3b_miou.png").is_file()
