from __future__ import annotations

import sys
from pathlib import Path

import pytest
import table1


def test_the_table_is_written_three_times_and_printed(
    psmt_run: Path, supervised_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["table1.py", str(psmt_run), str(supervised_run), "--out", str(tmp_path)])
    table1.main()
    assert {path.name for path in tmp_path.iterdir()} >= {"table1.csv", "table1.md", "table1.tex"}
    assert capsys.readouterr().out.strip() == (tmp_path / "table1.md").read_text().strip()
