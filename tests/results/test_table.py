"""The table of runs: means over seeds, and beside which runs the published numbers stand."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from psmt_viz.data.voc import VOC_CLASSES
from psmt_viz.errors import UserError
from psmt_viz.results import Evaluation, Scores
from tests.results.scored import (
    COLUMNS,
    FULL,
    HALF,
    NUMBERS,
    TEXTS,
    VOC,
    full_run,
    on_voc,
    published,
    run,
    scores_of,
    two_seeds,
)


def test_numbers_of_runs():
    frame = scores_of([full_run()])
    assert len(frame) == 1
    assert list(frame) == COLUMNS
    first = frame.iloc[0]
    assert list(first[[*TEXTS, "runs"]]) == ["this run", "mine", "camvid", "1_8", 1]
    assert list(first[NUMBERS]) == [100.0, 60.0, 33.33, 33.33, 40.0, 66.67]
    assert frame.filter(regex="_(low|high)$").isna().all().all()


def test_published_numbers_stand_beside_pascal_voc():
    splits = ("1_4", "1_16", "1_2", "1_8")
    frame = scores_of([*((split, on_voc(split)) for split in splits), full_run()])
    found = published(frame)
    assert list(found["split"]) == ["1/16", "1/8", "1/4", "1/2"]
    assert list(found["ensemble"]) == [72.83, 75.70, 76.43, 77.88]
    assert list(found["single_teacher"]) == [72.79, 75.59, 76.26, 77.71]
    assert list(found["gain"]) == [0.04, 0.11, 0.17, 0.17]
    assert found[["teacher2", "student", "gain_teacher2", "runs"]].isna().all().all()
    assert set(found["dataset"]) == {VOC}
    assert frame["benchmark"].tolist() == [VOC] * 4 + [""] + [VOC] * 4


def test_published_numbers_are_those_of_the_splits_that_were_run():
    assert published(scores_of([("a", on_voc("1_4"))]))["split"].tolist() == ["1/4"]
    for split in ("732", "full", "own lists"):
        assert published(scores_of([("a", on_voc(split))])).empty
    # The means of seeds are results too.
    seeds = scores_of([("a", on_voc("1_2")), ("a", on_voc("1_2"))])
    assert seeds["source"].tolist() == ["this run", "this run", "mean", "published"]


def test_voc_is_told_by_its_classes_and_images():
    assert len(VOC_CLASSES) == 21  # as many as the published numbers are of


def test_scores_without_their_counts_can_be_on_voc():
    subject = {"dataset": "voc", "split": "1_8"}
    scores = Scores(miou={"ensemble": 0.7}, classes=VOC_CLASSES, subject=subject, facts={"images": 1449})
    assert published(scores_of([("a", scores)]))["split"].tolist() == ["1/8"]
    assert published(scores_of([("a", replace(scores, classes=()))])).empty


def test_a_supervised_run_has_a_student_only():
    frame = scores_of([("base", Evaluation(classes=("a", "b"), confusion={"student": HALF}))])
    assert frame.loc[0, "student"] == 33.33
    assert frame.loc[0, ["ensemble", "gain", "gain_teacher2"]].isna().all()
    assert frame.loc[0, "dataset"] == ""


def test_seeds_have_their_rows_and_one_of_mean_and_spread():
    """By hand: of thirds and fifths, whose differences are rounded last."""
    frame = scores_of([*two_seeds(), full_run("other")])
    assert frame["source"].tolist()[:4] == ["this run", "this run", "mean", "this run"]
    assert frame["run"].tolist()[:4] == ["s-0", "s-1", "s", "other"]
    assert frame["runs"].tolist()[:4] == [1, 1, 2, 1]
    row = frame.iloc[2]
    third = 100 / 3
    expected = {
        "ensemble": (60 + third) / 2,
        "single_teacher": (third + 60) / 2,
        "teacher2": (100 + third) / 2,
        "student": third,
        "gain": 0,
        "gain_teacher2": (60 - 100) / 2,
    }
    assert row[NUMBERS].to_dict() == pytest.approx({name: round(value, 2) for name, value in expected.items()})
    ends = {
        "ensemble": (third, 60),
        "single_teacher": (third, 60),
        "teacher2": (third, 100),
        "student": (third, third),
        "gain": (third - 60, 60 - third),
        "gain_teacher2": (-40, 0),
    }
    for name, (low, high) in ends.items():
        assert (row[f"{name}_low"], row[f"{name}_high"]) == (round(low, 2), round(high, 2))
    assert list(row[["dataset", "split"]]) == ["camvid", "1_8"]


def test_seeds_are_found_wherever_they_stand():
    first, second = two_seeds()
    together, apart = scores_of([first, second, full_run()]), scores_of([first, full_run(), second])
    pd.testing.assert_frame_equal(together, apart)


def test_a_mean_of_supervised_runs_is_of_students():
    frame = scores_of([("base", run(str(seed), student=matrix)) for seed, matrix in enumerate((FULL, HALF, FULL))])
    row = frame.iloc[3]
    assert (row["student"], row["student_low"], row["student_high"]) == (77.78, 33.33, 100)
    assert row.drop(["student", "student_low", "student_high", "runs", "benchmark", *TEXTS]).isna().all()


def test_a_mean_is_not_known_where_a_run_lacks_the_role():
    frame = scores_of([("s", run("0", student=HALF, ensemble=FULL)), ("s", run("1", student=HALF))])
    assert math.isnan(frame.loc[2, "ensemble"]) and frame.loc[2, "student"] == 33.33


def test_scores_on_different_data_have_no_mean():
    other = run("s-1", split="1_4", student=HALF)
    with pytest.raises(
        UserError, match=r"runs named s with scores on one .* got camvid, split 1_4 and camvid, split 1"
    ):
        scores_of([("s", run("s-0", student=HALF)), ("s", other)])
