"""The tables of flips."""

from __future__ import annotations

from dataclasses import fields

import pandas as pd

from psmt_viz.results import Flips
from tests.figures import synthetic


def test_every_table_of_flips_starts_with_its_key():
    result = synthetic.flips()
    for name in ("flips", "paired", "by_class", "by_distance", "by_confidence", "confusion"):
        assert list(getattr(result, name).columns[:4]) == ["kind", "judge", "norm", "eps"]


def test_empty_tables_survive(tmp_path):
    full = synthetic.flips(("vat",))
    tables = [field.name for field in fields(full) if isinstance(getattr(full, field.name), pd.DataFrame)]
    Flips(**{name: getattr(full, name).iloc[:0] for name in tables}, health={}).save(tmp_path)
    assert len(tables) == 6
    for name in tables:
        loaded = getattr(Flips.load(tmp_path), name)
        assert list(loaded.columns) == list(getattr(full, name).columns) and loaded.empty
