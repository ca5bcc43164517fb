"""The authors' checkpoints from the command line: in, looked at, and out again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from psmt_viz.cli import main
from psmt_viz.data.voc import VOC_CLASSES
from tests.authors import light_state, save


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("official") / "official.pth", light_state())


@pytest.fixture(scope="module")
def imported(official: Path) -> Iterator[tuple[Path, str]]:
    """The run made of `official`, and what was printed."""
    folder = official.parent / "run"
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        status = main(["import", str(official), "--out", str(folder)])
    assert status == 0, lines
    yield folder, "\n".join(lines)
    shutil.rmtree(folder)  # a gigabyte


@pytest.fixture(scope="module")
def voc(blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with Pascal VOC's class names."""
    folder = tmp_path_factory.mktemp("voc") / "voc"
    shutil.copytree(blocks_folder, folder)
    (folder / "classes.txt").unlink()
    listed = folder / "ImageSets" / "Segmentation" / "val.txt"
    listed.write_text(listed.read_text().splitlines()[0] + "\n")
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert re.fullmatch(rf"error: expected .*{words}.*\n", told), told


def test_import_says_what_it_found_dropped_and_wrote(imported: tuple[Path, str]) -> None:
    folder, told = imported
    first, second, last = told.splitlines()
    assert first.startswith("PS-MT's resnet50s, 21 classes: background, aeroplane, ")
    assert first.endswith("; epoch 80, monitor_best 0.7569, labeled_examples 1323")
    assert second == "dropped 36 tensors that its networks never use: " + ", ".join(
        f"encoder{mark}.head.last_conv" for mark in ("1", "2", "_s")
    )
    assert last == f"results: {folder}"
    assert {path.name for path in folder.iterdir()} == {"config.json", "last.safetensors", "best.safetensors"}


def test_an_imported_run_is_evaluated(imported: tuple[Path, str], voc: Path, tmp_path: Path) -> None:
    assert main(["evaluate", str(imported[0]), "--data", str(voc), "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "evaluation.csv")
    assert list(table["role"]) == ["student", "teacher1", "teacher2", "ensemble"]
    assert {f"iou_{name}" for name in VOC_CLASSES} <= set(table.columns)
    assert table["pixel_accuracy"].between(0, 1).all()


def test_without_data_an_imported_run_asks_for_it(
    imported: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, ["evaluate", str(imported[0])], "data with the run's classes background, .*; give other --data")


def test_an_imported_run_has_no_curves(
    imported: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(
        capsys, ["curves", str(imported[0]), "--out", str(tmp_path)], r"metrics\.csv, got nothing there; .*imported"
    )


def test_export_gives_the_file_back(
    imported: tuple[Path, str], official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "again.pth"
    assert main(["export", str(imported[0]), "--out", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"results: {path}"
    again, state = torch.load(path, weights_only=True), light_state()
    path.unlink()
    assert all(torch.equal(again["state_dict"][key], state[key]) for key in state if "head.last_conv" not in key)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import", "nowhere.pth"], r"nowhere\.pth, got nothing there; check the path"),
        (["import", __file__], r"test_import_and_export\.py, got .*"),
        (["import", "OFFICIAL", "--classes", "a", "b"], r"21 classes, .*got 2: a, b; .*--classes"),
        (["import", "OFFICIAL", "--data", "nowhere"], r"folder .*nowhere, got nothing there"),
        (["export", "nowhere", "--out", "a.pth"], "run folder nowhere, got no such folder"),
    ],
)
def test_mistakes_are_told_in_one_line_and_leave_nothing(
    official: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    refused(capsys, [str(official) if word == "OFFICIAL" else word for word in arguments], words)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("command", ["import", "export"])
def test_help_answers(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert f"Usage: psmt-viz {command}" in told.out
