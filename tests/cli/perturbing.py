"""What tests of `perturb` ask of its results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from psmt_viz.kinds import KINDS as TABLE
from tests.commands import Outcome

KINDS = list(TABLE)
ROLES = ["student", "teacher1", "teacher2", "ensemble"]
TABLES = {
    *("flips.csv", "flips_paired.csv", "flips_by_class.csv", "flips_by_distance.csv", "flips_by_confidence.csv"),
    *("flips_confusion.csv", "health.json"),
}
DRAWN = ("png", "pdf", "svg", "provenance.json")
FIGURES = {f"{name}.{end}" for name in ("flips", "judges", "transfer", "where") for end in DRAWN}
CLOSEUP = {f"closeup.{end}" for end in ("npz", "json", *DRAWN)}


def done(found: Outcome) -> Outcome:
    assert found.status == 0, found.err
    assert "Traceback" not in found.err + found.out
    assert found.out.splitlines()[-1] == "results: out"
    return found


def flips(**wanted: Any) -> pd.DataFrame:
    """The rows of flips.csv where columns have these values."""
    table = pd.read_csv("out/flips.csv")
    return table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])] if wanted else table


def told(part: str, name: str = "health.json") -> dict[str, Any]:
    """A part of a result's facts: subject, asked, used or measured."""
    return json.loads(Path("out", name).read_text())[part]
