from __future__ import annotations

import sys
from pathlib import Path

import pytest
import subject


def test_the_run_that_comes_with_the_project_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["script.py"])
    (named,), out = subject.runs("what it does", "fig3")
    assert named[1].plan["total_steps"] == 1300
    assert out.resolve().is_relative_to(tmp_path / "runs" / "fig3")


def test_runs_of_one_experiment_share_a_name(
    psmt_run: Path, supervised_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", str(psmt_run), str(supervised_run), "--out", str(tmp_path)])
    named, out = subject.runs("what it does", "table1")
    assert out == tmp_path
    assert len({name for name, _ in named}) == 2


def test_a_run_is_opened_with_its_data(psmt_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", str(psmt_run), "--out", str(tmp_path)])
    opened, out = subject.subject("what it does", "fig1")
    assert opened.run.folder == psmt_run
    assert opened.data.name == "blocks"
    assert out == tmp_path
