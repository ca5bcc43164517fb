"""Runs that were trained with an earlier version of the method."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from psmt_viz.cli.training import configured
from psmt_viz.presets import configure
from tests.commands import Run, refused

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
    assert json.loads(Path("out/evaluation.json").read_text())["subject"]["method_version"] == 1


def test_its_settings_train_a_run_of_the_same_lengths(run: Run, old: Path) -> None:
    told = run("train", "--config", old / "config.json", "--dry-run")
    assert told.status == 0
    assert re.search(r"^steps: 40 of warm-up, then 2 epochs of 20: 80 in all", told.out, re.MULTILINE)
    passes = run("train", "--config", old / "config.json", "--warmup-epochs", "3", "--dry-run")
    # 8 labelled images are 2 batches of 3, and 2 images that were left out then.
    assert "6 of warm-up (3 passes over the labelled images)" in passes.out


def test_its_last_batch_is_dropped_as_it_was_then(run: Run, old: Path) -> None:
    path = old / "config.json"
    facts = json.loads(path.read_text())
    facts["config"]["method"]["steps_per_epoch"] = None  # 8 unlabelled images at batch 3: two batches and two images
    path.write_text(json.dumps(facts))
    assert "then 2 epochs of 2:" in run("train", "--config", path, "--dry-run").out
    assert "then 2 epochs of 3:" in run("train", "--config", path, "--no-drop-last", "--dry-run").out


@pytest.mark.parametrize(("first", "second"), [("supplement", "official-code"), ("official-code", "supplement")])
def test_another_recipe_over_a_config_sets_all_of_its_switches(tmp_path: Path, first: str, second: str) -> None:
    before = configure("cityscapes", {"data": "."}, recipe=first)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"config": before.as_dict(), "method_version": 2}))
    found = configured(["--config", str(path), "--recipe", second])
    assert found == configure("cityscapes", {"data": "."}, recipe=second)
    kept = configured(["--config", str(path), "--recipe", second, "--sup-loss", before.method.sup_loss])
    assert kept.method.sup_loss == before.method.sup_loss


def test_it_cannot_be_gone_on_with(run: Run, old: Path) -> None:
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    outcome = run("train", "--config", old / "config.json", "--out", old, "--resume")
    refused(outcome, "a run of version 2 of the method in .*old", "version 1", "another --out")
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before
