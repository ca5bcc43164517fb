"""What several runs measured, saved and loaded."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.results import Training
from tests.figures import synthetic


def training():
    runs = (
        *(synthetic.curves(3, seed=seed) for seed in range(2)),  # seeds share a name
        synthetic.curves(5, name="0016", supervised=True),
    )
    return Training(runs=runs, subject={"weights": "last"})


def equal(one, other):
    pd.testing.assert_frame_equal(one.metrics, other.metrics, check_exact=True)
    assert (one.name, one.ramp, one.images_per_step) == (other.name, other.ramp, other.images_per_step)


def test_runs_load_as_they_were(tmp_path):
    result = training()
    paths = result.save(tmp_path)
    assert [path.name for path in paths] == ["curves.csv", "curves.json"]
    assert sorted(tmp_path.iterdir()) == paths
    loaded = Training.load(tmp_path)
    assert (loaded.subject, loaded.asked) == ({"weights": "last"}, {})
    for one, other in zip(result.runs, loaded.runs, strict=True):
        equal(one, other)
    again = tmp_path / "again"
    again.mkdir()
    assert [path.read_bytes() for path in loaded.save(again)] == [path.read_bytes() for path in paths]


def test_a_run_of_before_a_column_gets_it_empty(tmp_path):
    old, new = synthetic.curves(3, name="old"), synthetic.curves(3, name="new")
    old = replace(old, metrics=old.metrics.drop(columns="teacher_distance"))
    Training(runs=(old, new)).save(tmp_path)
    loaded = Training.load(tmp_path)
    equal(loaded.runs[1], new)
    assert loaded.runs[0].metrics["teacher_distance"].isna().all()
    equal(replace(loaded.runs[0], metrics=loaded.runs[0].metrics.drop(columns="teacher_distance")), old)
    Training(runs=(old,)).save(tmp_path)
    equal(Training.load(tmp_path).runs[0], old)


def test_a_run_before_its_first_epoch_stays_empty(tmp_path):
    Training(runs=(synthetic.curves(2), synthetic.curves(0, name="begun"))).save(tmp_path)
    first, second = Training.load(tmp_path).runs
    assert (len(first.metrics), len(second.metrics), second.name) == (2, 0, "begun")
    assert list(second.metrics) == list(first.metrics)


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(UserError, match="measurements of at least one run, got none; give a run"):
        Training(runs=()).save(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["curves.csv", "curves.json"])
def test_a_missing_file_is_named(tmp_path, name):
    training().save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=rf"{name}, got nothing there"):
        Training.load(tmp_path)


@pytest.mark.parametrize(
    "facts", [{}, [], None, {"runs": [{"run": "a"}], "parameters": {}}, {"runs": 3, "parameters": {}}, {"runs": []}]
)
def test_other_facts_are_an_error(tmp_path, facts):
    training().save(tmp_path)
    (tmp_path / "curves.json").write_text(json.dumps(facts))
    with pytest.raises(
        UserError,
        match=r"a result \(training curves\) in .*curves\.json and the files beside it, got .*; restore the files",
    ):
        Training.load(tmp_path)


def test_another_table_is_an_error(tmp_path):
    training().save(tmp_path)
    (tmp_path / "curves.csv").write_text("epoch,step\n1,2\n")
    with pytest.raises(UserError, match=r"got KeyError\('number'\)"):
        Training.load(tmp_path)
