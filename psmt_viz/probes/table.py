"""Scores of runs as one table; it needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from psmt_viz.results import Evaluation, Scores, ScoreTable
from psmt_viz.runs import Run


def table(evaluations: Sequence[tuple[str, Evaluation | Scores]]) -> ScoreTable:
    """Puts the scores of runs beside each other, and those on Pascal VOC 2012 beside the published ones.

    Args:
        evaluations: Name and scores of each run; several of one name are one experiment under several seeds, of which
            a row of the mean follows.

    Raises:
        UserError: if runs of one name were scored on different data sets or splits.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement Table 1.
    """
    return ScoreTable.of(evaluations)


def own_scores(run: Run) -> Evaluation | None:
    """Returns the scores that a run wrote at its end, of its last weights on its own validation images, if it has them.

    Raises:
        UserError: if they are damaged.
    """
    if not (run.folder / Evaluation.FACTS).is_file():
        return None
    found = Evaluation.load(run.folder)
    # `evaluate` may have written others there: it says which weights it scored, and training does not.
    if found.asked.get("part", "val") != "val" or "weights" in found.subject:
        return None
    return replace(found, subject={**found.subject, "run": run.name})
