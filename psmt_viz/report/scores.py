"""The sections of scores: evaluation and Table 1."""

from __future__ import annotations

import math
from functools import partial

import pandas as pd

from psmt_viz import figures
from psmt_viz.figures.table import HEADINGS, NOTE
from psmt_viz.figures.words import listed
from psmt_viz.report.pictures import picture
from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, make_table
from psmt_viz.results import Evaluation, Saved
from psmt_viz.roles import role_of

_BOUNDS = ("_low", "_high")


def evaluation_section(saved: Saved) -> Section | None:
    """Returns confusion and IoU of each class."""
    evaluation = saved.evaluation
    if evaluation is None or not evaluation.confusion:
        return None
    roles = listed([role_of(role).label for role in evaluation.confusion])
    pictures = (
        picture(
            "confusion",
            partial(figures.draw_confusion, evaluation),
            alt="Matrix of what the pixels of each class are predicted as, in percent of the class's pixels.",
            caption="What the pixels of each class are predicted as.",
        ),
        picture(
            "class_iou",
            partial(figures.draw_class_iou, evaluation),
            alt=f"IoU of each class, a marker for each role: {roles}. The numbers are in the table below.",
            caption="IoU of each class, by role.",
        ),
    )
    return Section(id="evaluation", title="Evaluation", pictures=pictures, tables=(_class_table(evaluation),))


def _class_table(evaluation: Evaluation) -> Table:
    """Returns one row per measure and class and one column per role, in percent."""
    table = evaluation.table().set_index("role")
    names = ("mIoU", "pixel accuracy", *evaluation.classes)
    rows = [
        (name, *(f"{100 * value:.2f} %" if math.isfinite(value) else None for value in map(float, table[column])))
        for name, column in zip(names, table.columns, strict=True)
    ]
    return make_table("IoU of each class", ("", *(role_of(str(role)).label for role in table.index)), rows)


def table_section(saved: Saved) -> Section | None:
    """Returns Table 1, with the range over seeds behind a mean."""
    if saved.table is None or saved.table.empty:
        return None
    return Section(
        id="table1",
        title="Table 1: ensemble and single teacher",
        paragraphs=(NOTE,),
        tables=(_scores_table(saved.table),),
    )


def _scores_table(frame: pd.DataFrame) -> Table:
    frame = figures.comparable(frame).drop(columns="benchmark", errors="ignore").dropna(axis="columns", how="all")
    columns = [str(name) for name in frame if not str(name).endswith(_BOUNDS)]
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
    low, high = (row.get(f"{name}{end}", math.nan) for end in _BOUNDS)
    return f"{value:.2f}" + (f" ({low:.2f} to {high:.2f})" if math.isfinite(low) and math.isfinite(high) else "")
