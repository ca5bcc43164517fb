"""What runs measured, put together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.probes.curves import curves
from psmt_viz.runs import Run


def test_runs_or_their_folders(psmt_run: Path, supervised_run: Path) -> None:
    found = curves([Run.open(psmt_run), supervised_run, str(psmt_run), None])
    assert [run.name for run in found.runs] == ["psmt", "supervised", "scenes"]  # a folder given twice counts once
    pd.testing.assert_frame_equal(found.runs[0].metrics, Run.open(psmt_run).metrics())


def test_seeds_share_a_name(psmt_run: Path, tmp_path: Path) -> None:
    folders = [Path(shutil.copytree(psmt_run, tmp_path / f"own-{seed}")) for seed in range(2)]
    facts = json.loads((folders[1] / "config.json").read_text())
    facts["config"]["system"]["seed"] += 1
    (folders[1] / "config.json").write_text(json.dumps(facts))
    assert [run.name for run in curves(folders).runs] == ["own", "own"]


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a run folder"):
        curves([tmp_path])
