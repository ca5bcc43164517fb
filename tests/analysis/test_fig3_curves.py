from __future__ import annotations

import sys
from pathlib import Path

import fig3_curves
import pytest

from psmt_viz.results import Training
from tests.commands import coarse_figures


def test_measurements_are_saved_and_drawn(
    psmt_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["fig3_curves.py", str(psmt_run), "--out", str(tmp_path)])
    with coarse_figures():
        fig3_curves.main()
    assert len(Training.load(tmp_path).runs) == 1
    assert {"fig3a_rampup.pdf", "fig3b_miou.pdf", "teachers.pdf"} <= {path.name for path in tmp_path.iterdir()}
    assert "miou_ensemble" in capsys.readouterr().out
