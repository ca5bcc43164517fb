"""Columns of metrics.csv, known and unknown ones."""

import pandas as pd
import pytest

from psmt_viz.results.columns import COLUMNS, column, scored_roles
from psmt_viz.runs import shipped_run


def test_every_column_that_a_run_measures_is_known() -> None:
    metrics = pd.read_csv(shipped_run() / "metrics.csv", nrows=0)
    for name in metrics:
        known = column(name)
        assert known.name == name
        assert known in COLUMNS or known.role is not None, name
    assert scored_roles(metrics) == ["student", "teacher1", "teacher2", "ensemble"]


@pytest.mark.parametrize(
    ("name", "text", "scale", "chart"),
    [
        ("loss_sup", "loss", 1, "loss"),
        ("teacher_distance", "distance of the teachers' weights (% of their norm)", 100, "distance"),
        ("miou_teacher", "validation mIoU (%)", 100, "miou"),
        ("pixel_accuracy_student", "pixel accuracy (%)", 100, ""),
        ("mask_ratio", "mask ratio", 1, "mask_ratio"),
    ],
)
def test_a_column_has_title_unit_and_chart(name: str, text: str, scale: float, chart: str) -> None:
    known = column(name)
    assert (known.text, known.scale, known.chart) == (text, scale, chart)


def test_scores_have_the_look_of_their_role() -> None:
    score = column("miou_teacher2")
    assert (score.role, score.label, score.color) == ("teacher2", "teacher 2", "teacher2")
    assert score.dashes and not column("miou_ensemble").dashes
