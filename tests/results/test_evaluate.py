"""Scores, saved and as a table."""

from __future__ import annotations

import numpy as np
import pytest

from psmt_viz.results import Evaluation
from tests.figures import synthetic


def test_names_like_numbers_and_nothing_survive(tmp_path):
    result = Evaluation(classes=("NA", "1", "null"), confusion={"student": np.arange(9).reshape(3, 3)})
    result.save(tmp_path)
    loaded = Evaluation.load(tmp_path)
    assert loaded.classes == result.classes
    np.testing.assert_array_equal(loaded.confusion["student"], result.confusion["student"])


def test_a_run_without_teachers_has_one_row():
    table = synthetic.evaluation(roles=("student",)).table()
    assert list(table["role"]) == ["student"]
    assert list(table.columns) == ["role", "miou", "pixel_accuracy", *(f"iou_{name}" for name in synthetic.SCENES)]
    assert table["miou"].iloc[0] == pytest.approx(table.filter(like="iou_").mean(axis=1).iloc[0])
