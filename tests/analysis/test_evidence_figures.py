"""The figures and tables in the repository and on its pages are those of its measurements."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import evidence
import pandas as pd
import pytest

from psmt_viz.results import ScoreTable
from tests.analysis.made_up import TABLES, small
from tests.figures.pictures import holds

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All figures and tables, drawn from the measurements in the repository."""
    out = tmp_path_factory.mktemp("figures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["evidence.py", "--out", str(out)])
        assert evidence.main() == 0
    return out


def test_figures_and_tables_come_from_the_measurements_alone(redrawn):
    there = evidence.RESULTS
    drawn = {path.name for path in redrawn.iterdir()}
    assert drawn == {path.name for path in there.iterdir()} - {f"{name}.csv" for name in TABLES}
    for path in redrawn.iterdir():
        assert path.suffix == ".png" or path.read_bytes() == (there / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", sorted(path.name for path in evidence.RESULTS.glob("*.png")))
def test_its_figures_show_the_tables(redrawn, tmp_path, name):
    drawn = shutil.copy(redrawn / name, tmp_path / name)  # a difference is drawn beside it
    holds(evidence.RESULTS / name, Path(drawn))


def test_without_runs_there_is_nothing(tmp_path, monkeypatch):
    words = ["evidence.py", "--tables", str(tmp_path / "none"), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    assert evidence.main() == 0
    assert not list(tmp_path.glob("*.png"))
    assert (tmp_path / "table1.md").read_text().count("\n| ") == 1  # the rule below the headings


def test_runs_on_pascal_voc_stand_beside_the_published_row_of_their_split():
    tables = small(seeds=(1,), dataset="voc")
    names = [f"c{index}" for index in range(21)]
    rows = [{"run": run, "role": "student", "class": name} for run in tables.runs["run"] for name in names]
    for images, splits in ((1449, ["1/8"]), (200, [])):
        voc = replace(tables, runs=tables.runs.assign(val_images=images), classes=pd.DataFrame(rows))
        frame = ScoreTable.of(voc.scores()).scores
        assert frame.loc[frame["source"] == "published", "split"].tolist() == splits


def rows_of(path: Path) -> set[str]:
    return {line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("| ")}


def test_pages_show_the_tables_as_they_are():
    told = rows_of(ROOT / "docs" / "what-holds.md")
    expected = set().union(
        *(
            rows_of(evidence.RESULTS / f"{name}.md")
            for name in ("scores", "labels_learned", "ensemble", "perturbations")
        )
    )
    columns = {row.count("|") for row in expected}
    assert {row for row in told if row.count("|") in columns} == expected
    shown = re.compile(r"^\| \w+ \| (?:1/8|all) \|")
    short = {line for line in rows_of(ROOT / "README.md") if shown.match(line)}
    assert short == {line for line in rows_of(evidence.RESULTS / "scores.md") if shown.match(line)}
