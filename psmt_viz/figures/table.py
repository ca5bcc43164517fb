"""Table 1: the ensemble beside a single teacher; on Pascal VOC, beside the published numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write, write_text
from psmt_viz.results import Evaluation, Scores
from psmt_viz.roles import ENSEMBLE, STUDENT

SCORES = ("ensemble", "single_teacher", "teacher2", "student")
_ROLES = {
    "ensemble": (ENSEMBLE,),
    "single_teacher": ("teacher1", "teacher"),
    "teacher2": ("teacher2",),
    "student": (STUDENT,),
}
"""Column -> whose score it holds: the first of these roles that a run has."""
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
"""Column -> its heading, in every file and on the page."""
_TEXTS = ("source", "run", "dataset", "split")
_BENCHMARK = "benchmark"
_GAINS = {"gain": "single_teacher", "gain_teacher2": "teacher2"}
_NUMBERS = (*SCORES, *_GAINS)
_COLUMNS = (*HEADINGS, *(f"{name}_{end}" for name in _NUMBERS for end in ("low", "high")), _BENCHMARK)
NOTE = (
    "Validation mIoU in %; single teacher = teacher 1; gain = ensemble - single teacher, in points. "
    "With several seeds: mean (min to max)."
)
VOC = "Pascal VOC 2012"
_VOC_CLASSES, _VOC_IMAGES = 21, 1449
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


def score_table(runs: Sequence[tuple[str, Evaluation | Scores]]) -> pd.DataFrame:
    """Returns the mIoU of ensemble, single teachers and student of each run and experiment.

    Where one was scored on Pascal VOC 2012, that is on 1,449 validation images and 21 classes, the published row of its
    split follows: that of another data set or split is no comparison.

    Args:
        runs: Name and scores of each run. Several of one name are one experiment under several seeds: each has its own
            row, named by the parameter `run` of its scores, and a row of their mean follows. The parameters `dataset`
            and `split` of the scores are shown; `part` and `images` are asked for too.

    Returns:
        Columns source (`this run`, `mean` or `published`), run, dataset, split; runs, how many a row is the mean of;
        ensemble, single_teacher (teacher 1), teacher2, student in %; gain and gain_teacher2, the ensemble minus one
        and the other teacher, in points; and of each of these six <name>_low and <name>_high over the runs of a mean.
        All are rounded last, to two decimals. Empty are the scores of a role that a run has not, what is not
        published, and low and high of one run. Last benchmark, `Pascal VOC 2012` or empty: what beside which a
        published row may stand.

    Raises:
        UserError: if runs of one name were scored on different data sets or splits.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement
    Table 1.
    """
    groups: dict[str, list[Evaluation | Scores]] = {}
    for name, evaluation in runs:
        groups.setdefault(name, []).append(evaluation)
    rows: list[dict[str, Any]] = []
    for name, group in groups.items():
        own = [_scores(evaluation) for evaluation in group]
        facts = _shared_facts(name, group)
        facts[_BENCHMARK] = VOC if all(map(_is_on_voc, group)) else ""
        alone = len(group) == 1
        for evaluation, scores in zip(group, own, strict=True):
            run = name if alone else str(evaluation.parameters.get("run", name))
            rows.append({"source": "this run", "run": run, **facts, "runs": 1, **scores})
        if not alone:
            rows.append({"source": "mean", "run": name, **facts, "runs": len(group), **_over_runs(own)})
    for split, (ensemble, single) in _PUBLISHED.items():
        row = {"source": "published", "run": "PS-MT, DeepLabV3+ ResNet-50", "dataset": VOC, _BENCHMARK: VOC}
        scores = {"ensemble": ensemble, "single_teacher": single, "gain": ensemble - single}
        rows.append(row | {"split": split, **scores})
    return comparable(_typed(pd.DataFrame(rows, columns=list(_COLUMNS)).round(2)))


def comparable(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a table without the published rows that stand beside no run on their benchmark and split.

    Args:
        frame: The table; one from before benchmarks were noted has no such run.
    """
    benchmarks = frame[_BENCHMARK] if _BENCHMARK in frame else [""] * len(frame)
    places = list(zip(benchmarks, frame["split"].str.replace("_", "/"), strict=True))
    published = (frame["source"] == "published").to_numpy()
    ours = {place for place, other in zip(places, published, strict=True) if place[0] and not other}
    stands = [not other or place in ours for place, other in zip(places, published, strict=True)]
    return frame[np.array(stands, dtype=bool)].reset_index(drop=True)


def _is_on_voc(scores: Evaluation | Scores) -> bool:
    """Tells Pascal VOC 2012 by what was scored; a folder may have any name."""
    facts = scores.parameters
    seen = facts.get("part", "val"), facts.get("images"), len(scores.classes)
    return seen == ("val", _VOC_IMAGES, _VOC_CLASSES)


def write_table(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Writes a table of `score_table` as table1.csv, table1.md and table1.tex (for the LaTeX package booktabs).

    What `read_csv` reads from table1.csv gives the same three files. Published rows that stand beside no run on their
    data set are left out, as in `comparable`.

    Args:
        frame: The table.
        folder: An existing folder.

    Returns:
        The three paths.

    Raises:
        UserError: if a column is missing, as in tables of before there were means over seeds, or is no number.
    """
    frame = comparable(_typed(frame))
    paths = [folder / f"table1.{kind}" for kind in ("csv", "md", "tex")]
    with atomic_write(paths[0]) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.2f", lineterminator="\n")
    write_text(paths[1], _markdown(frame))
    write_text(paths[2], _latex(frame))
    return paths


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a table and no others, as text and numbers also where they were read from a file or are empty."""
    fix = "make it again with psmt-viz table"
    frame = frame if _BENCHMARK in frame else frame.assign(**{_BENCHMARK: ""})
    if missing := [name for name in _COLUMNS if name not in frame]:
        raise UserError("a table of scores", f"one without {', '.join(missing)}", fix)
    numbers = [name for name in _COLUMNS if name not in (*_TEXTS, _BENCHMARK, "runs")]
    try:
        typed = frame[list(_COLUMNS)].astype({"runs": "Int64"} | dict.fromkeys(numbers, float))
    except (TypeError, ValueError) as error:
        raise UserError("numbers in a table of scores", str(error), fix) from None
    typed[numbers] += 0.0  # -0.00 would look like a loss
    texts = typed[[*_TEXTS, _BENCHMARK]].astype(object).fillna("")
    return typed.assign(**{str(name): texts[name] for name in texts})


def _scores(run: Evaluation | Scores) -> dict[str, float]:
    miou = run.miou
    scores = {
        column: 100 * next((miou[role] for role in roles if role in miou), math.nan) for column, roles in _ROLES.items()
    }
    return scores | {gain: scores["ensemble"] - scores[teacher] for gain, teacher in _GAINS.items()}


def _shared_facts(name: str, group: Sequence[Evaluation | Scores]) -> dict[str, str]:
    facts = {tuple(str(each.parameters.get(key, "")) for key in ("dataset", "split")) for each in group}
    if len(facts) > 1:
        got = " and ".join(sorted(", split ".join(each) for each in facts))
        raise UserError(f"runs named {name} with scores on one data set and split", got, "name them differently")
    return dict(zip(("dataset", "split"), facts.pop(), strict=True))


def _over_runs(own: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean, lowest and highest of each number; not known if one run lacks it."""
    found: dict[str, float] = {}
    for name in _NUMBERS:
        values = np.array([scores[name] for scores in own])
        found |= {name: values.mean(), f"{name}_low": values.min(), f"{name}_high": values.max()}
    return found


def _markdown(frame: pd.DataFrame) -> str:
    rule = ["---" if name in _TEXTS else "---:" for name in HEADINGS]
    rows = [_cells(row, _escape_markdown) for row in frame.to_dict("records")]
    lines = ["| " + " | ".join(row) + " |" for row in (list(HEADINGS.values()), rule, *rows)]
    return "\n".join([*lines, "", NOTE]) + "\n"


def _latex(frame: pd.DataFrame) -> str:
    columns = "".join("l" if name in _TEXTS else "r" for name in HEADINGS)
    lines = [
        f"% {NOTE}",
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
    cells = [escape(" ".join(row[name].split())) for name in _TEXTS]
    cells.append("--" if pd.isna(row["runs"]) else str(row["runs"]))
    for name in _NUMBERS:
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
