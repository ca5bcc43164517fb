"""What a run and a model are opened with: data, weights, devices, parts of a split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from psmt_viz.config import DataConfig
from psmt_viz.data import DataFolder, Scenes
from psmt_viz.errors import UserError
from psmt_viz.make import compute
from psmt_viz.models.weights import save_weights
from psmt_viz.probes.evaluate import evaluate
from psmt_viz.results import Evaluation
from psmt_viz.subject import RunSubject, open_config_data, resolve_device


def opened(folder: Path, **settings: Any) -> RunSubject:
    return RunSubject.open(folder, **{"data": None, "weights": "last", "device": "cpu"} | settings)


def test_the_parts_of_a_split_are_scored_apart(psmt_run: Path) -> None:
    """The pixels of both parts are those of the training images, each counted once."""
    subject = opened(psmt_run)
    split = subject.data.split("1_2")
    found = {part: compute(Evaluation, subject, **subject.scoring(part)) for part in ("labeled", "unlabeled")}
    assert {part: (each.asked["part"], each.used["images"]) for part, each in found.items()} == {
        "labeled": ("labeled", len(split.labeled)),
        "unlabeled": ("unlabeled", len(split.unlabeled)),
    }
    together = evaluate(subject.networks, subject.data, part="train").confusion
    for role, matrix in together.items():
        np.testing.assert_array_equal(sum(each.confusion[role] for each in found.values()), matrix)
    assert found["labeled"].miou != found["unlabeled"].miou


def test_the_data_are_those_of_the_run_unless_given(psmt_run: Path, blocks_folder: Path, tmp_path: Path) -> None:
    subject = opened(psmt_run)
    assert isinstance(subject.data, DataFolder)
    assert subject.data.root == blocks_folder
    other = Path(shutil.copytree(blocks_folder, tmp_path / "other"))
    assert opened(psmt_run, data=str(other)).facts["dataset"] == "other"


def test_classes_that_the_run_kept_are_kept_in_other_data_too(
    psmt_run: Path, blocks_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(psmt_run, tmp_path / "run"))
    facts = json.loads((folder / "config.json").read_text())
    names = facts["classes"]
    facts["config"]["data"]["classes"] = names
    (folder / "config.json").write_text(json.dumps(facts))
    other = Path(shutil.copytree(blocks_folder, tmp_path / "other"))
    # The same classes under other ids: the names decide, not the numbers.
    (other / "classes.txt").write_text("\n".join(reversed(names)) + "\n")
    assert opened(folder, data=str(other)).data.classes == tuple(names)
    with pytest.raises(UserError, match=r"run's classes background, red, .*, got white, yellow"):
        opened(psmt_run, data=str(other))


def test_best_and_last_weights(psmt_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(psmt_run, tmp_path / "run"))
    last = opened(folder).networks
    changed = opened(folder).networks
    with torch.no_grad():
        changed.student.classifier.bias += 1
    save_weights(changed, folder / "best.safetensors")
    best = opened(folder, weights="best").networks
    assert torch.equal(best.student.classifier.bias, last.student.classifier.bias + 1)
    assert not any(module.training for module in best.modules())


def test_lists_of_a_configuration_reach_the_data(blocks_folder: Path, tmp_path: Path) -> None:
    for name, ids in {"a": ["train00"], "b": ["train01", "train02"], "c": ["val03"]}.items():
        (tmp_path / name).write_text("\n".join(ids) + "\n")
    paths = {
        "labeled_list": str(tmp_path / "a"),
        "unlabeled_list": str(tmp_path / "b"),
        "val_list": str(tmp_path / "c"),
    }
    data = open_config_data(DataConfig(data=str(blocks_folder), classes=("white", "red"), **paths))
    assert data.classes == ("white", "red")
    assert data.split("1_8").labeled == ("train00",)
    assert data.split("1_8").unlabeled == ("train01", "train02")
    assert data.ids("val") == ("val03",)
    assert isinstance(open_config_data(DataConfig()), Scenes)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    here: dict[str, int] = {"cuda": 0, "mps": 0}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: here["cuda"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here["cuda"] > 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: here["mps"] > 0)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    for name in ("cuda", "mps", "cuda:0", "gpu", "", "cp", "cpu:x"):
        with pytest.raises(UserError, match=f"--device among auto, cpu, got {name!r}"):
            resolve_device(name)
    here["mps"] = 1
    assert resolve_device("auto") == resolve_device("mps") == "mps"
    here["cuda"] = 2
    assert resolve_device("auto") == resolve_device("cuda") == "cuda"
    assert resolve_device("cuda:1") == "cuda:1"
    assert resolve_device("cpu") == "cpu"
    for name in ("cuda:2", "cuda:x", "tpu"):
        with pytest.raises(UserError, match=f"--device among auto, cpu, cuda.*, mps, got {name!r}"):
            resolve_device(name)
