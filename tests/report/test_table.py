"""The section of Table 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from psmt_viz.results import Saved, ScoreTable
from tests.report.reading import Page, coarse_report


def test_table_1_shows_the_range_over_seeds(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [
            {"source": "mean", "run": "a", "dataset": "d", "split": "1/8", "runs": 3, "ensemble": 71.234,
             "ensemble_low": 70.1, "ensemble_high": 72.0, "student": np.nan, "benchmark": "e"},
            {"source": "published", "run": "b", "dataset": "d", "split": "1/8", "ensemble": 75.7, "student": 1.0,
             "benchmark": "e"},
        ]
    )  # fmt: skip
    text = Page(coarse_report(Saved.of(ScoreTable(scores=table)), tmp_path / "index.html").read_text()).text
    assert "mean a d 1/8 3 71.23 (70.10 to 72.00) –" in text
    assert "published b d 1/8 – 75.70 1.00" in text
    assert "benchmark" not in text
    alone = coarse_report(
        Saved.of(ScoreTable(scores=table.drop(columns="benchmark"))), tmp_path / "older.html"
    ).read_text()
    assert "75.70" not in Page(alone).text
