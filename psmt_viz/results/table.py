"""Table 1: the ensemble beside a single teacher; on Pascal VOC, beside the published numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from psmt_viz.errors import UserError
from psmt_viz.files import write_text
from psmt_viz.results.evaluate import Evaluation, Scores
from psmt_viz.results.result import Result
from psmt_viz.results.tables import read_csv
from psmt_viz.roles import ENSEMBLE, STUDENT

SCORES = ("ensemble", "single_teacher", "teacher2", "student")
_ROLES = {
    "ensemble": (ENSEMBLE,),
    "single_teacher": ("teacher1", "teacher"),
    "teacher2": ("teacher2",),
    "student": (STUDENT,),
}
"""Column -> whose score it holds: the first of these roles that a run has."""
_GAINS = {"gain": "single_teacher", "gain_teacher2": "teacher2"}
TEXTS = ("source", "run", "dataset", "split")
"""Columns of text."""
NUMBERS = (*SCORES, *_GAINS)
"""Columns of numbers, each with <name>_low and <name>_high over the runs of a mean."""
ENDS = ("_low", "_high")
_BENCHMARK = "benchmark"
_COLUMNS = (*TEXTS, "runs", *NUMBERS, *(f"{name}{end}" for name in NUMBERS for end in ENDS), _BENCHMARK)
VOC = "Pascal VOC 2012"
_VOC_CLASSES, _VOC_IMAGES = 21, 1449
# Published in the supplement's Table 1: split -> mIoU (%) of ensemble and single teacher.
_PUBLISHED = {"1/16": (72.83, 72.79), "1/8": (75.70, 75.59), "1/4": (76.43, 76.26), "1/2": (77.88, 77.71)}


@dataclass(frozen=True, kw_only=True)
class ScoreTable(Result):
    """The mIoU of ensemble, single teachers and student of runs and experiments, beside the published numbers.

    Its facts are columns: what the runs are and on what they were scored.
    """

    scores: pd.DataFrame
    """One row per run, mean over runs or published result. Columns source (`this run`, `mean` or `published`), run,
    dataset, split; runs, how many a row is the mean of; ensemble, single_teacher (teacher 1), teacher2, student in %;
    gain and gain_teacher2, the ensemble minus one and the other teacher, in points; and of each of these six <name>_low
    and <name>_high over the runs of a mean. Empty are the scores of a role that a run has not, what is not published,
    and low and high of one run. Last benchmark, `Pascal VOC 2012` or empty: what beside which a published row may
    stand."""

    NAME: ClassVar = "table"
    COMMAND: ClassVar = "table"
    TITLE: ClassVar = "Table 1"
    FACTS: ClassVar = "table1.csv"

    @classmethod
    def of(cls, runs: Sequence[tuple[str, Evaluation | Scores]]) -> Self:
        """Returns the table of runs.

        Where one was scored on Pascal VOC 2012, that is on 1,449 validation images and 21 classes, the published row of
        its split follows: that of another data set or split is no comparison. All numbers are rounded last, to two
        decimals.

        Args:
            runs: Name and scores of each run. Several of one name are one experiment under several seeds: each has its
                own row, named by the `run` of its subject, and a row of their mean follows. The subject's `dataset` and
                `split` are shown; the facts `part` and `images` are asked for too.

        Raises:
            UserError: if runs of one name were scored on different data sets or splits.

        Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement
        Table 1.
        """
        groups: dict[str, list[Evaluation | Scores]] = {}
        for name, evaluation in runs:
            groups.setdefault(name, []).append(evaluation)
        rows = [row for name, group in groups.items() for row in _rows(name, group)]
        for split, (ensemble, single) in _PUBLISHED.items():
            row = {"source": "published", "run": "PS-MT, DeepLabV3+ ResNet-50", "dataset": VOC, _BENCHMARK: VOC}
            scores = {"ensemble": ensemble, "single_teacher": single, "gain": ensemble - single}
            rows.append(row | {"split": split, **scores})
        return cls(scores=pd.DataFrame(rows, columns=list(_COLUMNS)).round(2)).complete()

    def comparable(self) -> Self:
        """Returns the table without the published rows that stand beside no run on their benchmark and split.

        One from before benchmarks were noted has no such run.
        """
        frame = self.scores
        benchmarks = frame[_BENCHMARK] if _BENCHMARK in frame else [""] * len(frame)
        places = list(zip(benchmarks, frame["split"].str.replace("_", "/"), strict=True))
        published = (frame["source"] == "published").to_numpy()
        ours = {place for place, other in zip(places, published, strict=True) if place[0] and not other}
        stands = [not other or place in ours for place, other in zip(places, published, strict=True)]
        return type(self)(scores=frame[np.array(stands, dtype=bool)].reset_index(drop=True))

    def complete(self) -> Self:
        """Returns the table's own columns, as text and numbers also where they were read from a file or are empty.

        Published rows that stand beside no run are left out.

        Raises:
            UserError: if a column is missing, as in tables of before there were means over seeds, or is no number.
        """
        fix = f"make it again with psmt-viz {self.COMMAND}"
        frame = self.scores if _BENCHMARK in self.scores else self.scores.assign(**{_BENCHMARK: ""})
        if missing := [name for name in _COLUMNS if name not in frame]:
            raise UserError("a table of scores", f"one without {', '.join(missing)}", fix)
        numbers = [name for name in _COLUMNS if name not in (*TEXTS, _BENCHMARK, "runs")]
        try:
            typed = frame[list(_COLUMNS)].astype({"runs": "Int64"} | dict.fromkeys(numbers, float))
        except (TypeError, ValueError) as error:
            raise UserError("numbers in a table of scores", str(error), fix) from None
        typed[numbers] += 0.0  # -0.00 would look like a loss
        texts = typed[[*TEXTS, _BENCHMARK]].astype(object).fillna("")
        return type(self)(scores=typed.assign(**{str(name): texts[name] for name in texts})).comparable()

    def csv(self) -> str:
        """Returns the content of table1.csv; what `load` reads from it gives the same again."""
        return self.complete().scores.to_csv(index=False, float_format="%.2f", lineterminator="\n")

    def save(self, folder: Path) -> list[Path]:
        """Writes table1.csv."""
        write_text(folder / self.FACTS, self.csv())
        return [folder / self.FACTS]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        return cls(scores=read_csv(folder / cls.FACTS))


def _rows(name: str, group: Sequence[Evaluation | Scores]) -> list[dict[str, Any]]:
    """Returns the rows of one experiment: each run, and the mean of several."""
    own = [_scores(evaluation) for evaluation in group]
    facts = _shared_facts(name, group)
    facts[_BENCHMARK] = VOC if all(map(_is_on_voc, group)) else ""
    alone = len(group) == 1
    rows: list[dict[str, Any]] = []
    for evaluation, scores in zip(group, own, strict=True):
        run = name if alone else str(evaluation.subject.get("run", name))
        rows.append({"source": "this run", "run": run, **facts, "runs": 1, **scores})
    if not alone:
        rows.append({"source": "mean", "run": name, **facts, "runs": len(group), **_over_runs(own)})
    return rows


def _is_on_voc(scores: Evaluation | Scores) -> bool:
    """Tells Pascal VOC 2012 by what was scored; a folder may have any name."""
    seen = scores.facts.get("part", "val"), scores.facts.get("images"), len(scores.classes)
    return seen == ("val", _VOC_IMAGES, _VOC_CLASSES)


def _scores(run: Evaluation | Scores) -> dict[str, float]:
    miou = run.miou
    scores = {
        column: 100 * next((miou[role] for role in roles if role in miou), math.nan) for column, roles in _ROLES.items()
    }
    return scores | {gain: scores["ensemble"] - scores[teacher] for gain, teacher in _GAINS.items()}


def _shared_facts(name: str, group: Sequence[Evaluation | Scores]) -> dict[str, str]:
    facts = {tuple(str(each.subject.get(key, "")) for key in ("dataset", "split")) for each in group}
    if len(facts) > 1:
        got = " and ".join(sorted(", split ".join(each) for each in facts))
        raise UserError(f"runs named {name} with scores on one data set and split", got, "name them differently")
    return dict(zip(("dataset", "split"), facts.pop(), strict=True))


def _over_runs(own: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean, lowest and highest of each number; not known if one run lacks it."""
    found: dict[str, float] = {}
    for name in NUMBERS:
        values = np.array([scores[name] for scores in own])
        found |= {name: values.mean(), f"{name}_low": values.min(), f"{name}_high": values.max()}
    return found
