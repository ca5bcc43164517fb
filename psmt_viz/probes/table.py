"""Scores of runs as one table; it needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from psmt_viz.results import Evaluation, Scores, ScoreTable


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
