"""What a command leaves alone, and where it writes unless told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.written import WRITES
from tests.commands import Run, files


def test_without_out_results_go_to_numbered_folders(run: Run, psmt_run: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        found = run("table", psmt_run)
        assert found.out.rstrip().splitlines()[-1] == f"results: runs/table/psmt-{number}"
    assert {path.split("/")[2] for path in files(tmp_path)} == {"psmt-1", "psmt-2"}


def test_a_verb_replaces_only_its_own_files(run: Run, psmt_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "table1.csv").write_text("old")
    assert run("table", psmt_run, "--out", out).status == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "table1.csv").read_text() != "old"
    assert files(out) == WRITES["table"] | {"notes.txt"}


def test_a_run_left_out_is_the_shipped_one(run: Run, psmt_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psmt_viz.runs.shipped_run", lambda: psmt_run)
    named, left_out = run("table", psmt_run, "--out", "a"), run("table", "--out", "b")
    assert named.status == left_out.status == 0
    assert Path("a/table1.csv").read_bytes() == Path("b/table1.csv").read_bytes()
