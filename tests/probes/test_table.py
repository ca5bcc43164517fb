"""Scores of runs, put into one table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from psmt_viz.probes.table import table
from psmt_viz.results import Evaluation


def test_table_names_each_run(psmt_run: Path, tmp_path: Path) -> None:
    scores = Evaluation.load(psmt_run)
    found = table([("one", scores), ("two", scores)])
    found.save(tmp_path)
    rows = pd.read_csv(tmp_path / "table1.csv")
    assert rows["run"].tolist()[:2] == ["one", "two"]
    assert (rows["source"] == "this run").all()
