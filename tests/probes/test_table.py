"""Scores of runs, put into one table."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from psmt_viz.probes.table import own_scores, table
from psmt_viz.results import Evaluation
from psmt_viz.runs import Run


def test_table_names_each_run(psmt_run: Path, tmp_path: Path) -> None:
    scores = Evaluation.load(psmt_run)
    found = table([("one", scores), ("two", scores)])
    found.save(tmp_path)
    rows = pd.read_csv(tmp_path / "table1.csv")
    assert rows["run"].tolist()[:2] == ["one", "two"]
    assert (rows["source"] == "this run").all()


def test_a_run_has_the_scores_that_it_wrote_at_its_end(psmt_run: Path, tmp_path: Path) -> None:
    renamed = Run.open(Path(shutil.copytree(psmt_run, tmp_path / "renamed")))
    found = own_scores(renamed)
    assert found is not None
    assert found.miou == Evaluation.load(psmt_run).miou
    assert found.subject["run"] == "renamed"
    (renamed.folder / "evaluation.json").unlink()
    assert own_scores(renamed) is None


@pytest.mark.parametrize("change", [{"asked": {"part": "labeled"}}, {"subject": {"weights": "best"}}])
def test_scores_of_something_else_in_the_runs_folder_are_not_its_own(
    psmt_run: Path, tmp_path: Path, change: dict[str, dict[str, str]]
) -> None:
    run = Run.open(Path(shutil.copytree(psmt_run, tmp_path / "run")))
    replace(Evaluation.load(psmt_run), **change).save(run.folder)
    assert own_scores(run) is None
