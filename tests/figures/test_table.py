from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from psmt_viz.data.layout import VOC_CLASSES
from psmt_viz.errors import UserError
from psmt_viz.figures import score_table, write_table
from psmt_viz.results import Evaluation, Scores, read_csv

from . import synthetic

HALF = np.array([[1, 1], [1, 1]])  # IoU 1/3 each
MOST = np.array([[3, 1], [1, 3]])  # IoU 3/5 each
FULL = np.array([[2, 0], [0, 2]])
TEXTS = ["source", "run", "dataset", "split"]
SCORES = ["ensemble", "single_teacher", "teacher2", "student"]
NUMBERS = [*SCORES, "gain", "gain_teacher2"]
COLUMNS = [*TEXTS, "runs", *NUMBERS, *(f"{name}_{end}" for name in NUMBERS for end in ("low", "high")), "benchmark"]
VOC = "Pascal VOC 2012"


def run(name="r", split="1_8", **confusion):
    parameters = {"dataset": "camvid", "split": split, "run": name}
    return Evaluation(classes=("a", "b"), confusion=confusion, parameters=parameters)


def two_seeds():
    """Ensemble 60 and 33.3, teacher 1 33.3 and 60, teacher 2 100 and 33.3, student 33.3 and 33.3."""
    first = run("s-0", ensemble=MOST, teacher1=HALF, teacher2=FULL, student=HALF)
    return [("s", first), ("s", run("s-1", ensemble=HALF, teacher1=MOST, teacher2=HALF, student=HALF))]


def on_voc(split="1_8", *, classes=21, images=1449, part="val", dataset="mine"):
    """Scores as of Pascal VOC 2012, in a folder of any name."""
    matrix = np.eye(classes, dtype=int)
    facts = {"dataset": dataset, "split": split, "images": images, "part": part}
    names = tuple(f"c{index}" for index in range(classes))
    return Evaluation(classes=names, confusion={"student": matrix, "ensemble": matrix}, parameters=facts)


def published(frame):
    return frame[frame["source"] == "published"]


def full_run(name="mine"):
    return name, run(student=HALF, teacher1=MOST, teacher2=HALF, ensemble=FULL)


def test_numbers_of_runs():
    frame = score_table([full_run()])
    assert len(frame) == 1
    assert list(frame) == COLUMNS
    first = frame.iloc[0]
    assert list(first[[*TEXTS, "runs"]]) == ["this run", "mine", "camvid", "1_8", 1]
    assert list(first[NUMBERS]) == [100.0, 60.0, 33.33, 33.33, 40.0, 66.67]
    assert frame.filter(regex="_(low|high)$").isna().all().all()


def test_published_numbers_stand_beside_pascal_voc():
    splits = ("1_4", "1_16", "1_2", "1_8")
    frame = score_table([*((split, on_voc(split)) for split in splits), full_run()])
    found = published(frame)
    assert list(found["split"]) == ["1/16", "1/8", "1/4", "1/2"]
    assert list(found["ensemble"]) == [72.83, 75.70, 76.43, 77.88]
    assert list(found["single_teacher"]) == [72.79, 75.59, 76.26, 77.71]
    assert list(found["gain"]) == [0.04, 0.11, 0.17, 0.17]
    assert found[["teacher2", "student", "gain_teacher2", "runs"]].isna().all().all()
    assert set(found["dataset"]) == {VOC}
    assert frame["benchmark"].tolist() == [VOC] * 4 + [""] + [VOC] * 4


def test_published_numbers_are_those_of_the_splits_that_were_run():
    assert published(score_table([("a", on_voc("1_4"))]))["split"].tolist() == ["1/4"]
    for split in ("732", "full", "own lists"):
        assert published(score_table([("a", on_voc(split))])).empty
    # The means of seeds are results too.
    seeds = score_table([("a", on_voc("1_2")), ("a", on_voc("1_2"))])
    assert seeds["source"].tolist() == ["this run", "this run", "mean", "published"]


@pytest.mark.parametrize(
    "other", [{"classes": 7}, {"images": 200}, {"images": None}, {"part": "labeled"}, {"classes": 22}]
)
def test_published_numbers_stand_beside_nothing_else(tmp_path, other):
    """Not beside a part of VOC, nor beside its name."""
    frame = score_table([("a", on_voc(**other, dataset="VOC2012")), full_run()])
    assert published(frame).empty
    for path in write_table(frame, tmp_path):
        assert "published" not in path.read_text() and "72.83" not in path.read_text()


def test_voc_is_told_by_its_classes_and_images():
    assert len(VOC_CLASSES) == 21  # as many as the published numbers are of


def test_scores_without_their_counts_can_be_on_voc():
    facts = {"dataset": "voc", "split": "1_8", "images": 1449}
    scores = Scores(miou={"ensemble": 0.7}, classes=VOC_CLASSES, parameters=facts)
    assert published(score_table([("a", scores)]))["split"].tolist() == ["1/8"]
    assert published(score_table([("a", replace(scores, classes=()))])).empty


def test_tables_of_before_benchmarks_were_noted_lose_the_published_rows(tmp_path):
    frame = score_table([("a", on_voc())]).drop(columns="benchmark")
    assert len(published(frame)) == 1
    for path in write_table(frame, tmp_path):
        assert "published" not in path.read_text()


def test_a_supervised_run_has_a_student_only():
    frame = score_table([("base", Evaluation(classes=("a", "b"), confusion={"student": HALF}))])
    assert frame.loc[0, "student"] == 33.33
    assert frame.loc[0, ["ensemble", "gain", "gain_teacher2"]].isna().all()
    assert frame.loc[0, "dataset"] == ""


def test_seeds_have_their_rows_and_one_of_mean_and_spread():
    """By hand: of thirds and fifths, whose differences are rounded last."""
    frame = score_table([*two_seeds(), full_run("other")])
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
    together, apart = score_table([first, second, full_run()]), score_table([first, full_run(), second])
    pd.testing.assert_frame_equal(together, apart)


def test_a_mean_of_supervised_runs_is_of_students():
    frame = score_table([("base", run(str(seed), student=matrix)) for seed, matrix in enumerate((FULL, HALF, FULL))])
    row = frame.iloc[3]
    assert (row["student"], row["student_low"], row["student_high"]) == (77.78, 33.33, 100)
    assert row.drop(["student", "student_low", "student_high", "runs", "benchmark", *TEXTS]).isna().all()


def test_a_mean_is_not_known_where_a_run_lacks_the_role():
    frame = score_table([("s", run("0", student=HALF, ensemble=FULL)), ("s", run("1", student=HALF))])
    assert math.isnan(frame.loc[2, "ensemble"]) and frame.loc[2, "student"] == 33.33


def test_scores_on_different_data_have_no_mean():
    other = run("s-1", split="1_4", student=HALF)
    with pytest.raises(
        UserError, match=r"runs named s with scores on one .* got camvid, split 1_4 and camvid, split 1"
    ):
        score_table([("s", run("s-0", student=HALF)), ("s", other)])


def test_files_and_escaping(tmp_path):
    name = "a_b & 50 % | #1 $x$ {y} ~^\\ <z>\nnext"
    paths = write_table(score_table([full_run(name), ("voc", on_voc("1_16"))]), tmp_path)
    assert [path.name for path in paths] == ["table1.csv", "table1.md", "table1.tex"]

    read = pd.read_csv(paths[0])
    assert read.loc[0, "run"] == name
    assert paths[0].read_text().splitlines()[-1].endswith(f",1/16,,72.83,72.79,,,0.04{14 * ','}{VOC}")

    markdown = paths[1].read_text().splitlines()
    assert (
        r"| this run | a\_b & 50 % \| \#1 \$x\$ \{y\} \~^\\ \<z\> next | camvid | 1\_8 | 1 | 100.00 | 60.00 |"
        in markdown[2]
    )
    unescaped = [line.replace(r"\|", "").count("|") for line in markdown[:5]]
    assert set(unescaped) == {12}

    latex = paths[2].read_text()
    assert (
        r"this run & a\_b \& 50 \% \textbar{} \#1 \$x\$ \{y\} \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\textless{}z\textgreater{} next & camvid & 1\_8 & 1 & 100.00 & 60.00 & 33.33 & 33.33 & 40.00 & 66.67 \\"
        in latex
    )
    assert latex.count(r"\midrule") == 2  # below the headings and between ours and the published
    assert latex.index(r"\toprule") < latex.index("this run") < latex.index("published") < latex.index(r"\bottomrule")
    assert "& -- & 72.83 & 72.79 & -- & -- & 0.04 & -- " in latex


def test_means_are_read_with_their_spread_and_losses_with_a_minus(tmp_path):
    _, markdown, latex = (path.read_text() for path in write_table(score_table(two_seeds()), tmp_path))
    spread = "46.67 (33.33 to 60.00)"
    assert (
        f"| mean | s | camvid | 1\\_8 | 2 | {spread} | {spread} | 66.67 (33.33 to 100.00) | 33.33 (33.33 to 33.33) | "
        "0.00 (-26.67 to 26.67) | -20.00 (-40.00 to 0.00) |" in markdown
    )
    assert "| this run | s-0 | camvid | 1\\_8 | 1 | 60.00 | 33.33 | 100.00 | 33.33 | 26.67 | -40.00 |" in markdown
    assert "mean (min to max)" in markdown and "gain = ensemble - single teacher" in markdown
    assert r"& 26.67 & $-$40.00 \\" in latex
    assert r"& 0.00 ($-$26.67 to 26.67) & $-$20.00 ($-$40.00 to 0.00) \\" in latex
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    columns = latex.split(r"\begin{tabular}{")[1].split("}")[0]
    assert columns == 4 * "l" + 7 * "r"
    assert {row.count(" & ") for row in rows} == {len(columns) - 1}


def test_a_loss_too_small_to_be_seen_is_none(tmp_path):
    big = np.array([[10**8, 0], [0, 10**8]])
    frame = score_table([("r", run(ensemble=big + np.array([[0, 1], [0, 0]]), teacher1=big))])
    assert math.copysign(1, frame.loc[0, "gain"]) == 1
    assert "-0.00" not in "".join(path.read_text() for path in write_table(frame, tmp_path))


@pytest.mark.parametrize(
    "runs",
    [[], [full_run("0016")], [("voc", on_voc()), full_run()], [*two_seeds(), full_run("a,\"b\" | \\ & %\nc")],
     [("base", Evaluation(classes=("a", "b"), confusion={"student": HALF}))]],
)  # fmt: skip
def test_the_csv_alone_gives_the_same_files(tmp_path, runs):
    first = [path.read_bytes() for path in write_table(score_table(runs), tmp_path)]
    again = [path.read_bytes() for path in write_table(read_csv(tmp_path / "table1.csv"), tmp_path)]
    assert again == first


def test_other_tables_are_errors(tmp_path):
    frame = score_table([full_run()])
    with pytest.raises(UserError, match=r"a table of scores, got one without runs, gain_low; make it again"):
        write_table(frame.drop(columns=["runs", "gain_low"]), tmp_path)
    with pytest.raises(
        UserError, match=r"numbers in a table of scores, got could not convert .*'much'.*; make it again"
    ):
        write_table(frame.assign(student="much"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_equal_tables_are_equal_files(tmp_path):
    contents = []
    for _ in range(2):
        paths = write_table(score_table([("r", synthetic.evaluation())]), tmp_path)
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("count", [0, 3])
def test_any_number_of_runs(tmp_path, count):
    frame = score_table([(f"r{i}", synthetic.evaluation(seed=i)) for i in range(count)])
    assert len(frame) == count
    _, _, latex = write_table(frame, tmp_path)
    assert latex.read_text().count(r"\midrule") == bool(count)
