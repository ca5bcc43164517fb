"""Table 1 as CSV, Markdown and LaTeX."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.figures import write
from psmt_viz.results import Evaluation, ScoreTable
from tests.figures import synthetic
from tests.results.scored import HALF, VOC, full_run, on_voc, published, run, scores_of, two_seeds


def write_table(frame, folder):
    """The files of a table."""
    return write(ScoreTable(scores=frame), folder).paths


@pytest.mark.parametrize(
    "other", [{"classes": 7}, {"images": 200}, {"images": None}, {"part": "labeled"}, {"classes": 22}]
)
def test_published_numbers_stand_beside_nothing_else(tmp_path, other):
    """Not beside a part of VOC, nor beside its name."""
    frame = scores_of([("a", on_voc(**other, dataset="VOC2012")), full_run()])
    assert published(frame).empty
    for path in write_table(frame, tmp_path):
        assert "published" not in path.read_text() and "72.83" not in path.read_text()


def test_tables_of_before_benchmarks_were_noted_lose_the_published_rows(tmp_path):
    frame = scores_of([("a", on_voc())]).drop(columns="benchmark")
    assert len(published(frame)) == 1
    for path in write_table(frame, tmp_path):
        assert "published" not in path.read_text()


def test_files_and_escaping(tmp_path):
    name = "a_b & 50 % | #1 $x$ {y} ~^\\ <z>\nnext"
    paths = write_table(scores_of([full_run(name), ("voc", on_voc("1_16"))]), tmp_path)
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
        r"this run & a\_b \& 50 \% | \#1 \$x\$ \{y\} \textasciitilde \textasciicircum \textbackslash \space <z> next "
        r"& camvid & 1\_8 & 1 & 100.00 & 60.00 & 33.33 & 33.33 & 40.00 & 66.67 \\" in latex
    )
    assert latex.count(r"\midrule") == 2  # below the headings and between ours and the published
    assert latex.index(r"\toprule") < latex.index("this run") < latex.index("published") < latex.index(r"\bottomrule")
    assert "& -- & 72.83 & 72.79 & -- & -- & 0.04 & -- " in latex


def test_means_are_read_with_their_spread_and_losses_with_a_minus(tmp_path):
    _, markdown, latex = (path.read_text() for path in write_table(scores_of(two_seeds()), tmp_path))
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
    frame = scores_of([("r", run(ensemble=big + np.array([[0, 1], [0, 0]]), teacher1=big))])
    assert math.copysign(1, frame.loc[0, "gain"]) == 1
    assert "-0.00" not in "".join(path.read_text() for path in write_table(frame, tmp_path))


@pytest.mark.parametrize(
    "runs",
    [[], [full_run("0016")], [("voc", on_voc()), full_run()], [*two_seeds(), full_run("a,\"b\" | \\ & %\nc")],
     [("base", Evaluation(classes=("a", "b"), confusion={"student": HALF}))]],
)  # fmt: skip
def test_the_csv_alone_gives_the_same_files(tmp_path, runs):
    first = [path.read_bytes() for path in write_table(scores_of(runs), tmp_path)]
    again = [path.read_bytes() for path in write(ScoreTable.load(tmp_path), tmp_path).paths]
    assert again == first


def test_other_tables_are_errors(tmp_path):
    frame = scores_of([full_run()])
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
        paths = write_table(scores_of([("r", synthetic.evaluation())]), tmp_path)
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("count", [0, 3])
def test_any_number_of_runs(tmp_path, count):
    frame = scores_of([(f"r{i}", synthetic.evaluation(seed=i)) for i in range(count)])
    assert len(frame) == count
    _, _, latex = write_table(frame, tmp_path)
    text = latex.read_text()
    assert text.count(r"\midrule") == 1  # below the headings
    assert text.count("this run") == count
    assert r"\usepackage[T1]{fontenc}" in text  # or <, > and | would be other signs
