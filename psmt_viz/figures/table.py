"""Table 1 as text: Markdown, LaTeX and CSV."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from psmt_viz.results import ScoreTable
from psmt_viz.results.table import NUMBERS, TEXTS

HEADINGS = {
    "source": "source",
    "run": "run",
    "dataset": "data set",
    "split": "split",
    "runs": "runs",
    "ensemble": "ensemble",
    "single_teacher": "single teacher",
    "teacher2": "teacher 2",
    "student": "student",
    "gain": "gain",
    "gain_teacher2": "gain on teacher 2",
}
"""Column -> heading, in every file and on the page; the ranges of a mean stand behind it."""
NOTE = (
    "Validation mIoU in %; single teacher = teacher 1; gain = ensemble - single teacher, in points. "
    "With several seeds: mean (min to max)."
)


def figures(result: ScoreTable) -> dict[str, str]:
    """Returns table1.csv, table1.md and table1.tex (for LaTeX with booktabs), by the names of their files.

    Published rows that stand beside no run on their data set are left out, as in `ScoreTable.comparable`.

    Raises:
        UserError: if a column is missing, as in tables of before there were means over seeds, or is no number.
    """
    frame = result.complete().scores
    return {"table1.csv": result.csv(), "table1.md": _markdown(frame), "table1.tex": _latex(frame)}


def _markdown(frame: pd.DataFrame) -> str:
    rule = ["---" if name in TEXTS else "---:" for name in HEADINGS]
    rows = [_cells(row, escape=_escape_markdown) for row in frame.to_dict("records")]
    lines = ["| " + " | ".join(row) + " |" for row in (list(HEADINGS.values()), rule, *rows)]
    return "\n".join([*lines, "", NOTE]) + "\n"


def _latex(frame: pd.DataFrame) -> str:
    cells = pd.DataFrame(
        [_cells(row, minus="$-$") for row in frame.to_dict("records")], columns=list(HEADINGS.values())
    )
    styler = cells.style.hide(axis="index").format(escape="latex", subset=[HEADINGS[name] for name in TEXTS])
    alignment = "".join("l" if name in TEXTS else "r" for name in HEADINGS)
    lines = styler.to_latex(column_format=alignment, hrules=True).splitlines()
    ours = int((frame["source"] != "published").sum())
    if 0 < ours < len(frame):
        first = lines.index(r"\midrule") + 1
        lines.insert(first + ours, r"\midrule")  # between the runs and the published rows
    comments = [
        f"% {NOTE}",
        r"% Needs \usepackage{booktabs} and \usepackage[T1]{fontenc}.",
        r"% \resizebox{\textwidth}{!}{\input{table1}} fits it to a page.",
    ]
    return "\n".join([*comments, *lines]) + "\n"


def _cells(row: Mapping[Any, Any], *, escape: Callable[[str], str] = str, minus: str = "-") -> list[str]:
    """A row as it is read, with the range of a mean behind it."""
    cells = [escape(" ".join(row[name].split())) for name in TEXTS]
    cells.append("--" if pd.isna(row["runs"]) else str(row["runs"]))
    for name in NUMBERS:
        value, low, high = (row[key] for key in (name, f"{name}_low", f"{name}_high"))
        if math.isnan(value):
            cells.append("--")
        elif math.isnan(low):
            cells.append(f"{value:.2f}".replace("-", minus))
        else:
            cells.append(f"{value:.2f} ({low:.2f} to {high:.2f})".replace("-", minus))
    return cells


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~$])", r"\\\1", text)
