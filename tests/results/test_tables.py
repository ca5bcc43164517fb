"""Tables as CSV files that read back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.results import read_csv, write_csv


def test_csv_keeps_every_digit_and_says_what_is_wrong(tmp_path):
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=200) * 1e-7, "name": ['a,b\n"c"'] * 200})
    write_csv(tmp_path / "t.csv", frame)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv"), frame, check_exact=True)
    assert b"\r" not in (tmp_path / "t.csv").read_bytes()
    with pytest.raises(UserError, match=r"expected a table .*none\.csv, got nothing there; check the path"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(UserError, match=r"expected a CSV table in .*empty\.csv"):
        read_csv(tmp_path / "empty.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(UserError, match=r"expected a CSV table in .*binary\.csv"):
        read_csv(tmp_path / "binary.csv")


def test_names_stay_names_and_gaps_stay_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame({"run": ["NA", "0016", "nan", ""], "miou": [0.5, np.nan, 1.0, 0.1 + 0.2]})
    write_csv(tmp_path / "a.csv", frame)
    found = read_csv(tmp_path / "a.csv")
    assert found["run"].tolist() == ["NA", "0016", "nan", ""]
    pd.testing.assert_series_equal(found["miou"], frame["miou"], check_exact=True)
