from __future__ import annotations

import sys
from pathlib import Path

import pytest
import ship_run

from psmt_viz.files import read_json, sha256
from psmt_viz.runs import Run


def test_a_run_of_other_settings_is_refused(psmt_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ship_run.py", str(psmt_run)])
    with pytest.raises(SystemExit, match="expected a run of the preset scenes as it is"):
        ship_run.main()


def test_the_shipped_run_is_copied_with_its_provenance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Run.open(None)
    monkeypatch.setattr(ship_run, "CHECKPOINTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["ship_run.py", str(shipped.folder)])
    ship_run.main()
    facts = read_json(tmp_path / "manifest.json")["scenes"]
    assert {path.name for path in (tmp_path / "scenes").iterdir()} == set(ship_run.SHIPPED)
    for name, digest in facts["sha256"].items():
        assert digest == sha256(tmp_path / "scenes" / name) == sha256(shipped.folder / name)
    assert set(facts["val_miou"]) == {"student", "teacher1", "teacher2", "ensemble"}
