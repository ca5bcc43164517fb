"""Runs that were trained with an earlier version of the method."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from commands import Run, refused

NEW = ("warmup_steps", "images_per_gpu", "drop_last", "loss_mean", "teacher_heads", "best_by")
"""Settings of the method that version 1 did not have."""


@pytest.fixture
def old(psmt_run: Path, tmp_path: Path) -> Path:
    """A run folder as version 1 wrote it: two epochs of warm-up, as long as the others."""
    folder = Path(shutil.copytree(psmt_run, tmp_path / "old"))
    facts = json.loads((folder / "config.json").read_text())
    del facts["method_version"], facts["config"]["views"]["base_size"]
    for name in NEW:
        del facts["config"]["method"][name]
    facts["config"]["method"]["warmup_epochs"] = 2
    assert facts["plan"]["warmup_steps"] == 40
    (folder / "config.json").write_text(json.dumps(facts))
    return folder


def test_it_can_be_looked_at_and_says_once_what_trained_it(run: Run, old: Path) -> None:
    found = run("evaluate", old, "--out", "out")
    assert found.status == 0
    assert found.err.count("trained with version 1 of the method, not 2") == 1
    assert json.loads(Path("out/evaluation.json").read_text())["parameters"]["method_version"] == 1


def test_its_settings_train_a_run_of_the_same_lengths(run: Run, old: Path) -> None:
    told = run("train", "--config", old / "config.json", "--dry-run")
    assert told.status == 0
    assert re.search(r"^steps: 40 of warm-up, then 2 epochs of 20: 80 in all", told.out, re.MULTILINE)
    passes = run("train", "--config", old / "config.json", "--warmup-epochs", "3", "--dry-run")
    # 8 labelled images are 3 batches of at most 3.
    assert "9 of warm-up (3 passes over the labelled images)" in passes.out


def test_it_cannot_be_gone_on_with(run: Run, old: Path) -> None:
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    outcome = run("train", "--config", old / "config.json", "--out", old, "--resume")
    refused(outcome, "a run of version 2 of the method in .*old", "version 1", "another --out")
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before
