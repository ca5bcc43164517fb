from __future__ import annotations

import sys
from pathlib import Path

import fig1_gradcam
import pytest

from psmt_viz.results import Cams
from tests.commands import coarse_figures


def test_four_images_of_the_run_are_mapped_and_drawn(
    psmt_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", ["fig1_gradcam.py", str(psmt_run), "--out", str(tmp_path)])
    with coarse_figures():
        fig1_gradcam.main()
    assert len(Cams.load(tmp_path).cams) == 4
    assert (tmp_path / "fig1_gradcam.pdf").is_file()
    assert "change_tvat" in capsys.readouterr().out
