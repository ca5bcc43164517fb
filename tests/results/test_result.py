"""The four parts of a result's facts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from psmt_viz.errors import UserError
from psmt_viz.results import Evaluation
from tests.figures import synthetic

PARTS = {"subject": {"run": "a", "eps": 1}, "asked": {"eps": 2, "seed": 0}, "used": {"eps": 3}, "measured": {"x": 0.5}}


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
