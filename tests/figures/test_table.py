from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from psmt_viz.figures import score_table, write_table
from psmt_viz.results import Evaluation

from . import synthetic


def run(**confusion):
    return Evaluation(classes=("a", "b"), confusion=confusion, parameters={"dataset": "camvid", "split": "1_8"})


HALF = np.array([[1, 1], [1, 1]])  # IoU 1/3 each
MOST = np.array([[3, 1], [1, 3]])  # IoU 3/5 each
FULL = np.array([[2, 0], [0, 2]])


def test_numbers_of_runs_and_published_numbers():
    frame = score_table([("mine", run(student=HALF, teacher1=MOST, teacher2=HALF, ensemble=FULL))])
    first = frame.iloc[0]
    assert list(first[["source", "run", "dataset", "split"]]) == ["this run", "mine", "camvid", "1_8"]
    assert list(first[["ensemble", "single_teacher", "teacher2", "student"]]) == [100.0, 60.0, 33.33, 33.33]
    published = frame[frame["source"] == "published"]
    assert list(published["split"]) == ["1/16", "1/8", "1/4", "1/2"]
    assert list(published["ensemble"]) == [72.83, 75.70, 76.43, 77.88]
    assert list(published["single_teacher"]) == [72.79, 75.59, 76.26, 77.71]
    assert published[["teacher2", "student"]].isna().all().all()
    assert set(published["dataset"]) == {"Pascal VOC 2012"}


def test_a_supervised_run_has_a_student_only():
    frame = score_table([("base", Evaluation(classes=("a", "b"), confusion={"student": HALF}))])
    assert frame.loc[0, "student"] == 33.33
    assert math.isnan(frame.loc[0, "ensemble"])
    assert frame.loc[0, "dataset"] == ""


def test_files_and_escaping(tmp_path):
    name = "a_b & 50 % | #1 $x$ {y} ~^\\ <z>\nnext"
    frame = score_table([(name, run(student=HALF, teacher1=MOST, teacher2=HALF, ensemble=FULL))])
    paths = write_table(frame, tmp_path)
    assert [path.name for path in paths] == ["table1.csv", "table1.md", "table1.tex"]

    read = pd.read_csv(paths[0])
    assert read.loc[0, "run"] == name
    assert paths[0].read_text().splitlines()[-1].endswith("1/2,77.88,77.71,,")

    markdown = paths[1].read_text().splitlines()
    assert (
        r"| this run | a\_b & 50 % \| \#1 \$x\$ \{y\} \~^\\ \<z\> next | camvid | 1\_8 | 100.00 | 60.00 |"
        in markdown[2]
    )
    unescaped = [line.replace(r"\|", "").count("|") for line in markdown[:7]]
    assert set(unescaped) == {9}

    latex = paths[2].read_text()
    assert (
        r"this run & a\_b \& 50 \% \textbar{} \#1 \$x\$ \{y\} \textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\textless{}z\textgreater{} next & camvid & 1\_8 & 100.00 & 60.00 & 33.33 & 33.33 \\" in latex
    )
    assert latex.count(r"\midrule") == 2  # below the headings and between ours and the published
    assert latex.index(r"\toprule") < latex.index("this run") < latex.index("published") < latex.index(r"\bottomrule")
    assert "& 72.83 & 72.79 & -- & -- " in latex


def test_equal_tables_are_equal_files(tmp_path):
    contents = []
    for _ in range(2):
        paths = write_table(score_table([("r", synthetic.evaluation())]), tmp_path)
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("count", [0, 3])
def test_any_number_of_runs(tmp_path, count):
    frame = score_table([(f"r{i}", synthetic.evaluation(seed=i)) for i in range(count)])
    assert len(frame) == count + 4
    write_table(frame, tmp_path)
