"""Table 1: the ensemble beside a single teacher, this project's runs beside the published numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from psmt_viz.files import whole, write_text
from psmt_viz.metrics import mean_iou
from psmt_viz.results import Evaluation

SCORES = ("ensemble", "single_teacher", "teacher2", "student")
_ROLES = {"ensemble": "ensemble", "single_teacher": "teacher1", "teacher2": "teacher2", "student": "student"}
_HEADINGS = {
    "source": "source",
    "run": "run",
    "dataset": "data set",
    "split": "split",
    "ensemble": "ensemble",
    "single_teacher": "single teacher",
    "teacher2": "teacher 2",
    "student": "student",
}
# Published in the supplement's Table 1: split -> mIoU (%) of ensemble and single teacher.
_PUBLISHED = {"1/16": (72.83, 72.79), "1/8": (75.70, 75.59), "1/4": (76.43, 76.26), "1/2": (77.88, 77.71)}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
} | {sign: rf"\{sign}" for sign in "&%$#_{}"}


def score_table(runs: Sequence[tuple[str, Evaluation]]) -> pd.DataFrame:
    """Returns the mIoU of ensemble, single teacher and student of each run, and the published rows below.

    Args:
        runs: Name and scores of each run; the parameters `dataset` and `split` of the scores are shown.

    Returns:
        Columns source (`this run` or `published`), run, dataset, split, and in % with two decimals ensemble,
        single_teacher (teacher 1), teacher2, student; NaN where a run has no such role and where none is published.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement
    Table 1.
    """
    rows: list[dict[str, Any]] = []
    for name, evaluation in runs:
        row: dict[str, Any] = {"source": "this run", "run": name}
        row |= {key: str(evaluation.parameters.get(key, "")) for key in ("dataset", "split")}
        for column, role in _ROLES.items():
            matrix = evaluation.confusion.get(role)
            row[column] = math.nan if matrix is None else round(100 * mean_iou(matrix), 2)
        rows.append(row)
    for split, (ensemble, single) in _PUBLISHED.items():
        row = {"source": "published", "run": "PS-MT, DeepLabV3+ ResNet-50", "dataset": "Pascal VOC 2012"}
        rows.append(row | {"split": split, "ensemble": ensemble, "single_teacher": single})
    return pd.DataFrame(rows, columns=list(_HEADINGS))


def write_table(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Writes a table of `score_table` as table1.csv, table1.md and table1.tex (for the LaTeX package booktabs).

    Args:
        frame: The table.
        folder: An existing folder.

    Returns:
        The three paths.
    """
    paths = [folder / f"table1.{kind}" for kind in ("csv", "md", "tex")]
    with whole(paths[0]) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.2f", lineterminator="\n")
    write_text(paths[1], _markdown(frame))
    write_text(paths[2], _latex(frame))
    return paths


def _markdown(frame: pd.DataFrame) -> str:
    headings = [_HEADINGS.get(str(name), str(name)) for name in frame]
    rule = ["---:" if name in SCORES else "---" for name in frame]
    rows = [[_cell(value, _escape_markdown) for value in row] for row in frame.itertuples(index=False)]
    lines = ["| " + " | ".join(row) + " |" for row in (headings, rule, *rows)]
    return "\n".join([*lines, "", "Validation mIoU in %; single teacher = teacher 1."]) + "\n"


def _latex(frame: pd.DataFrame) -> str:
    headings = " & ".join(_HEADINGS.get(str(name), str(name)) for name in frame)
    columns = "".join("r" if name in SCORES else "l" for name in frame)
    lines = ["% Validation mIoU in %; single teacher = teacher 1. Needs \\usepackage{booktabs}."]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rf"{headings} \\"]
    for _, rows in frame.groupby("source", sort=False):
        lines.append(r"\midrule")
        cells = [[_cell(value, _escape_latex) for value in row] for row in rows.itertuples(index=False)]
        lines += [" & ".join(row) + r" \\" for row in cells]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _cell(value: Any, escape: Callable[[str], str]) -> str:
    if isinstance(value, float):
        return "--" if math.isnan(value) else f"{value:.2f}"
    return escape(" ".join(str(value).split()))


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~$])", r"\\\1", text)


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)
