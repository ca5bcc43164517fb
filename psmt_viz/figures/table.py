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
"""Column -> heading; the ranges of a mean stand behind it."""
_NOTE = (
    "Validation mIoU in %; single teacher = teacher 1; gain = ensemble - single teacher, in points. "
    "Of several runs (seeds): mean (lowest to highest)."
)
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
} | {sign: rf"\{sign}" for sign in "&%$#_{}"}


def figures(result: ScoreTable) -> dict[str, str]:
    """Returns table1.csv, table1.md and table1.tex (for the LaTeX package booktabs), by the names of their files.

    Published rows that stand beside no run on their data set are left out, as in `ScoreTable.comparable`.

    Raises:
        UserError: if a column is missing, as in tables of before there were means over seeds, or is no number.
    """
    frame = result.complete().scores
    return {"table1.csv": result.csv(), "table1.md": _markdown(frame), "table1.tex": _latex(frame)}


def _markdown(frame: pd.DataFrame) -> str:
    rule = ["---" if name in TEXTS else "---:" for name in HEADINGS]
    rows = [_cells(row, _escape_markdown) for row in frame.to_dict("records")]
    lines = ["| " + " | ".join(row) + " |" for row in (list(HEADINGS.values()), rule, *rows)]
    return "\n".join([*lines, "", _NOTE]) + "\n"


def _latex(frame: pd.DataFrame) -> str:
    columns = "".join("l" if name in TEXTS else "r" for name in HEADINGS)
    lines = [
        f"% {_NOTE}",
        r"% Needs \usepackage{booktabs}; \resizebox{\textwidth}{!}{\input{table1}} fits it to a page.",
    ]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rf"{' & '.join(HEADINGS.values())} \\"]
    published = (frame["source"] == "published").to_numpy()
    for rows in (frame[~published], frame[published]):
        if len(rows):
            lines.append(r"\midrule")
        lines += [" & ".join(_cells(row, _escape_latex, minus="$-$")) + r" \\" for row in rows.to_dict("records")]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _cells(row: Mapping[Any, Any], escape: Callable[[str], str], *, minus: str = "-") -> list[str]:
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


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)
