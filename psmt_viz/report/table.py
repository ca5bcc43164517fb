"""The section of Table 1."""

from __future__ import annotations

import math

import pandas as pd

from psmt_viz.figures.table import HEADINGS, NOTE
from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, make_table
from psmt_viz.results import ScoreTable
from psmt_viz.results.table import ENDS


def section(table: ScoreTable) -> Section | None:
    """Returns Table 1, with the range over seeds behind a mean."""
    if table.scores.empty:
        return None
    return Section(
        id="table1",
        title="Table 1: ensemble and single teacher",
        paragraphs=(NOTE,),
        tables=(_scores_table(table),),
    )


def _scores_table(table: ScoreTable) -> Table:
    frame = table.comparable().scores.drop(columns="benchmark", errors="ignore").dropna(axis="columns", how="all")
    columns = [str(name) for name in frame if not str(name).endswith(ENDS)]
    rows = [[_cell(row, name) for name in columns] for _, row in frame.iterrows()]
    headings = [HEADINGS.get(name, name) for name in columns]
    return make_table("Validation mIoU in %", headings, rows)


def _cell(row: pd.Series, name: str) -> str | int | None:
    value = row[name]
    if not isinstance(value, int | float):
        return str(value)
    if math.isnan(value):
        return None
    if name == "runs":
        return int(value)
    low, high = (row.get(f"{name}{end}", math.nan) for end in ENDS)
    return f"{value:.2f}" + (f" ({low:.2f} to {high:.2f})" if math.isfinite(low) and math.isfinite(high) else "")
