"""Data sets that are not whole: one line that says what to mend, before a step is taken."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.commands import Run, files, flags, halve, refused


def without_masks(folder: Path) -> None:
    for path in (folder / "SegmentationClass").iterdir():
        path.unlink()


def with_an_unknown_id(folder: Path) -> None:
    for path in (folder / "SegmentationClass").iterdir():
        mask = np.array(Image.open(path))
        mask[5, 5] = 77
        Image.fromarray(mask).save(path)


def with_smaller_masks(folder: Path) -> None:
    for path in (folder / "SegmentationClass").iterdir():
        Image.fromarray(np.array(Image.open(path))[:-1]).save(path)


def truncated(folder: Path) -> None:
    for path in (folder / "JPEGImages").iterdir():
        halve(path)


def emptied(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / "ImageSets" / "Segmentation" / name).write_text("\n")

    return apply


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing folder": (shutil.rmtree, "a folder .*damaged, got nothing there"),
    "empty train list": (emptied("train.txt"), "ids in .*train.txt, got an empty list"),
    "empty val list": (emptied("val.txt"), "ids in .*val.txt, got an empty list"),
    "id without a mask": (without_masks, "a mask .*png, got no such file"),
    "mask with an unknown id": (with_an_unknown_id, "ids 0 to 5 and 255, got 77 .*png"),
    "image and mask of different size": (with_smaller_masks, "one size .* got an image of .* and a mask of"),
    "truncated image": (truncated, "a readable image .*png, got .*truncated"),
}


@pytest.fixture
def broken(blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    def make(damage: str) -> Path:
        folder = Path(shutil.copytree(blocks_folder, tmp_path_factory.mktemp("broken") / "damaged"))
        DAMAGES[damage][0](folder)
        return folder

    return make


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["train", "evaluate", "tsne"])
def test_damaged_data(
    run: Run,
    broken: Callable[[str], Path],
    psmt_run: Path,
    command: str,
    damage: str,
) -> None:
    folder = broken(damage)
    before = files(folder)
    subject = flags() if command == "train" else [psmt_run]
    refused(run(command, *subject, "--data", folder, "--out", "out"), DAMAGES[damage][1])
    # A training may leave the settings that it was started with, so that it can be resumed.
    assert files(Path()) <= ({"out/config.json"} if command == "train" else set())
    assert not list(Path().rglob(".*"))
    assert files(folder) == before


@pytest.mark.parametrize("half", ["labeled", "unlabeled"])
def test_an_empty_half_of_a_split(run: Run, blocks_folder: Path, tmp_path: Path, half: str) -> None:
    folder = Path(shutil.copytree(blocks_folder, tmp_path / "data"))
    emptied(f"semi/1_2/{half}.txt")(folder)
    refused(run("train", "--data", folder, *flags(), "--out", "out"), rf"ids in .*1_2/{half}.txt, got an empty list")
    assert not (tmp_path / "out" / "config.json").exists()


def test_a_damaged_data_set_is_listed_with_exit_status_2(
    run: Run, broken: Callable[[str], Path], tmp_path: Path
) -> None:
    found = run("checks", "--data", broken("mask with an unknown id"), "--out", "out")
    assert found.status == 2
    table = pd.read_csv(tmp_path / "out" / "checks.csv")
    assert set(table["kind"]) == {"unknown ids in mask"}
    assert len(table) == 22
    (line,) = (line for line in found.out.splitlines() if line.startswith("error: unknown ids in mask: "))
    assert line.startswith("error: unknown ids in mask: 22 times, first SegmentationClass/train00.png: 77 on ")


def test_training_starts_once_the_data_are_mended(run: Run, broken: Callable[[str], Path], blocks_folder: Path) -> None:
    """A run that never took a step must not stand in the way of the same command."""
    folder = broken("truncated image")
    command = ["train", "--data", folder, *flags(epochs="1"), "--out", "train", "--resume"]
    refused(run(*command), "readable image")
    for name in files(blocks_folder / "JPEGImages"):
        shutil.copy(blocks_folder / "JPEGImages" / name, folder / "JPEGImages" / name)
    found = run(*command)
    assert found.status == 0, found.err
