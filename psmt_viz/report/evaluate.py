"""The section of scores: confusion and IoU of each class."""

from __future__ import annotations

import math
from functools import partial

from psmt_viz import figures
from psmt_viz.figures.words import listed
from psmt_viz.report.pictures import Picture
from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, make_table
from psmt_viz.results import Evaluation
from psmt_viz.roles import role_of


def section(evaluation: Evaluation) -> Section | None:
    """Returns confusion and IoU of each class."""
    if not evaluation.confusion:
        return None
    roles = listed([role_of(role).label for role in evaluation.confusion])
    pictures = (
        Picture(
            "confusion",
            partial(figures.draw_confusion, evaluation),
            alt="Matrix of what the pixels of each class are predicted as, in percent of the class's pixels.",
            caption="What the pixels of each class are predicted as.",
        ),
        Picture(
            "class_iou",
            partial(figures.draw_class_iou, evaluation),
            alt=f"IoU of each class, a marker for each role: {roles}. The numbers are in the table below.",
            caption="IoU of each class, by role.",
        ),
    )
    return Section(id="evaluation", title="Evaluation", pictures=pictures, tables=(_class_table(evaluation),))


def _class_table(evaluation: Evaluation) -> Table:
    """Returns one row per measure and class, one column per role, in percent."""
    table = evaluation.table().set_index("role")
    names = ("mIoU", "pixel accuracy", *evaluation.classes)
    rows = [
        (name, *(f"{100 * value:.2f} %" if math.isfinite(value) else None for value in map(float, table[column])))
        for name, column in zip(names, table.columns, strict=True)
    ]
    return make_table("IoU of each class", ("", *(role_of(str(role)).label for role in table.index)), rows)
