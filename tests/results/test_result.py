"""What every result does: it saves and loads as it was, and keeps the four parts of its facts apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.results import RESULTS, Cam, Curves, Evaluation, Result, ScoreTable, Training
from tests.figures import synthetic

PARTS = {"subject": {"run": "a", "eps": 1}, "asked": {"eps": 2, "seed": 0}, "used": {"eps": 3}, "measured": {"x": 0.5}}
MADE: dict[str, Callable[[], Result]] = {
    "tsne": lambda: synthetic.embedding(20, (3, 4)),
    "gradcam": lambda: synthetic.cams(2, (12, 16)),
    "perturb": synthetic.flips,
    "closeup": lambda: synthetic.closeup(("vat", "feature-drop"), (16, 24)),
    "curves": lambda: Training(runs=(synthetic.curves(3), synthetic.curves(4, name="0016"))),
    "evaluate": synthetic.evaluation,
    "reliability": synthetic.reliability,
    "table": lambda: ScoreTable.of([("0016", synthetic.evaluation())]),
}
FOR_READERS = {"evaluation.csv"}
"""Files from which nothing is loaded."""


def test_every_result_is_here() -> None:
    assert MADE.keys() == RESULTS.keys()


def equal(one, other):
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    elif isinstance(one, Cam | Curves):
        for field in fields(one):
            equal(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            equal(*pair)
    elif isinstance(one, dict) and any(isinstance(value, np.ndarray) for value in one.values()):
        assert list(one) == list(other)
        for key in one:
            equal(one[key], other[key])
    else:
        assert one == other


@pytest.mark.parametrize("name", MADE)
def test_a_saved_result_loads_as_it_was(tmp_path, name):
    result = MADE[name]()
    paths = result.save(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    loaded = type(result).load(tmp_path)
    if isinstance(result, ScoreTable) and isinstance(loaded, ScoreTable):
        # A table of earlier versions is read as it is; this gives columns their types.
        result, loaded = result.complete(), loaded.complete()
    for field in fields(result):
        equal(getattr(result, field.name), getattr(loaded, field.name))


@pytest.mark.parametrize("name", MADE)
def test_each_missing_file_is_named(tmp_path, name):
    result = MADE[name]()
    for path in result.save(tmp_path):
        kept = path.read_bytes()
        path.unlink()
        if path.name in FOR_READERS:
            type(result).load(tmp_path)
        else:
            with pytest.raises((UserError, FileNotFoundError), match=path.name):
                type(result).load(tmp_path)
        path.write_bytes(kept)


@pytest.mark.parametrize("name", MADE)
def test_equal_results_are_equal_files(tmp_path, name):
    contents = [[path.read_bytes() for path in MADE[name]().save(tmp_path)] for _ in range(2)]
    assert contents[0] == contents[1]


def result() -> Evaluation:
    return replace(synthetic.evaluation(), **PARTS)


def test_facts_are_what_was_measured_over_used_over_asked_and_not_the_callers() -> None:
    assert result().facts == {"eps": 3, "seed": 0, "x": 0.5}
    with pytest.raises(TypeError):
        result().facts["eps"] = 4  # type: ignore[index]


def test_the_parts_are_saved_and_loaded_apart(tmp_path: Path) -> None:
    result().save(tmp_path)
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert {part: saved[part] for part in PARTS} == PARTS
    loaded = Evaluation.load(tmp_path)
    assert {part: getattr(loaded, part) for part in PARTS} == PARTS == result().provenance()


def test_seconds_are_not_saved(tmp_path: Path) -> None:
    """Equal inputs give equal files."""
    replace(result(), seconds={"layout": 3.0}).save(tmp_path)
    assert "seconds" not in (tmp_path / "evaluation.json").read_text()
    assert Evaluation.load(tmp_path).seconds == {}


@pytest.mark.parametrize("facts", [{}, [], None, 3, {"classes": ["a"]}, {"classes": 3, **PARTS}, {"parameters": 3}])
def test_damaged_facts_are_told(tmp_path: Path, facts: object) -> None:
    result().save(tmp_path)
    (tmp_path / "evaluation.json").write_text(json.dumps(facts))
    with pytest.raises(
        UserError, match=r"facts of a result \(evaluation\) in .*evaluation\.json .*; restore the files"
    ):
        Evaluation.load(tmp_path)
