"""Run folders that are not whole: one line that says so, and nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Run, files, halve, refused

RUN_COMMANDS = ("evaluate", "reliability", "perturb", "tsne", "gradcam", "table", "figures")


@pytest.fixture
def copied(psmt_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(psmt_run, tmp_path / "copied"))


@pytest.mark.parametrize("command", RUN_COMMANDS)
def test_a_run_without_weights(run: Run, copied: Path, command: str) -> None:
    for path in copied.glob("*.safetensors"):
        path.unlink()
    (copied / "evaluation.json").unlink()  # or the table would need nothing else
    refused(run(command, copied, "--out", "out"), "weights .*last.safetensors", "no weights")
    assert not Path("out").exists()


def test_a_table_needs_the_scores_of_a_run_alone(run: Run, copied: Path) -> None:
    for path in copied.glob("*.safetensors"):
        path.unlink()
    assert run("table", copied, "--out", "out").status == 0
    (copied / "evaluation.json").write_text("{")
    refused(run("table", copied, "--out", "again"), "JSON in .*evaluation.json")


@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_weights_cut_short(run: Run, copied: Path, damage: str) -> None:
    path = copied / "last.safetensors"
    if damage == "half":
        halve(path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"no weights at all" * 10)
    refused(run("evaluate", copied, "--out", "out"), "whole weights in .*last.safetensors", "train again")
    assert not Path("out").exists()
    assert run("evaluate", copied, "--weights", "best", "--out", "out").status == 0


def test_a_part_without_images_or_labels(run: Run, copied: Path, blocks_folder: Path, tmp_path: Path) -> None:
    config = copied / "config.json"
    config.write_text(edited(lambda facts: facts["config"]["data"].update(split="full"))(config.read_text()))
    outcome = run("evaluate", copied, "--part", "unlabeled", "--out", "out")
    refused(outcome, "unlabeled images in split full", "none", "--part")
    assert not Path("out").exists()
    data = Path(shutil.copytree(blocks_folder, tmp_path / "data"))
    next((data / "SegmentationClass").glob("*train*")).unlink()
    refused(run("evaluate", copied, "--data", data, "--part", "labeled", "--out", "out"), "SegmentationClass")
    assert not Path("out").exists()


def test_weights_of_another_network(run: Run, copied: Path, supervised_run: Path) -> None:
    shutil.copy(supervised_run / "last.safetensors", copied / "last.safetensors")
    refused(run("evaluate", copied, "--out", "out"), "teacher1's weights", "the run that they belong to")


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        facts = json.loads(text)
        change(facts)
        return json.dumps(facts)

    return apply


CONFIGS: dict[str, Callable[[str], str]] = {
    "cut short": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no object": lambda text: "[]",
    "no configuration": lambda text: "{}",
    "a number for the configuration": lambda text: '{"config": 5}',
    "a word for a number": edited(lambda facts: facts["config"]["method"].update(epochs="many")),
    "nothing for a group": edited(lambda facts: facts["config"].update(views=None)),
    "an unknown setting": edited(lambda facts: facts["config"]["method"].update(epoch=3)),
    "a setting out of range": edited(lambda facts: facts["config"]["method"].update(epochs=-3)),
}


@pytest.mark.parametrize("damage", CONFIGS)
@pytest.mark.parametrize("command", ["evaluate", "curves", "train"])
def test_a_damaged_config(run: Run, copied: Path, tmp_path: Path, command: str, damage: str) -> None:
    path = copied / "config.json"
    path.write_text(CONFIGS[damage](path.read_text()))
    refused(run(command, *(["--config", path] if command == "train" else [copied]), "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_config_that_is_a_folder(run: Run, copied: Path) -> None:
    refused(run("train", "--config", copied, "--out", "out"), "config")


@pytest.mark.parametrize("damage", ["missing", "empty", "other columns", "no plan"])
def test_curves_of_a_damaged_run(run: Run, copied: Path, tmp_path: Path, damage: str) -> None:
    path = copied / "metrics.csv"
    if damage == "missing":
        path.unlink()
    elif damage == "no plan":
        facts = json.loads((copied / "config.json").read_text()) | {"plan": {}}
        (copied / "config.json").write_text(json.dumps(facts))
    else:
        path.write_text("" if damage == "empty" else "a,b\n1,2\n")
    refused(run("curves", copied, "--out", tmp_path / "out"))
    # Not one of two figures either.
    assert not (tmp_path / "out").exists() or files(tmp_path / "out") == set()
