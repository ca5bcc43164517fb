"""Training from outside: its plan, stopping and going on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from psmt_viz.cli import main
from psmt_viz.errors import UserError
from tests.commands import Run, files, flags, halve, refused


@pytest.fixture(scope="module")
def whole(blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was not stopped."""
    folder = tmp_path_factory.mktemp("whole") / "train"
    assert main(["train", "--data", str(blocks_folder), *flags(), "--out", str(folder)]) == 0
    return folder


def test_a_dry_run_tells_the_plan_and_writes_nothing(run: Run, blocks_folder: Path, tmp_path: Path) -> None:
    command = ["train", "--data", blocks_folder, *flags(), "--device", "cpu", "--out", "train", "--dry-run"]
    found = run(*command)
    assert (found.status, found.err) == (0, "")
    told = dict(line.split(": ", 1) for line in found.out.splitlines())
    assert told["data"] == "blocks, split 1_2: 8 labelled and 8 unlabelled images, 6 to validate"
    assert told["devices"] == "1 x cpu, fp32"
    assert told["batch"] == "2 labelled + 2 unlabelled images per step, in 1 micro-batches of 2 + 2"
    assert told["steps"].startswith("2 of warm-up, then 2 epochs of 2: 6 in all; ")
    assert {*re.split(", |: ", told["files"])} >= {"train", "config.json", "state.pt", "results.png"}
    # Two devices are planned for without being started.
    assert "2 x cpu" in run(*command, "--devices", "2").out
    assert list(tmp_path.iterdir()) == []


def test_a_smoke_test_takes_a_few_steps_of_small_crops(run: Run, blocks_folder: Path, tmp_path: Path) -> None:
    given = ["--data", blocks_folder, "--split", "1_2", "--aspp-channels", "8", "--batch-unlabeled", "3"]
    found = run("train", *given, "--smoke", "--out", "train")
    assert found.status == 0, found.err
    assert "smoke test" in found.err
    told = json.loads(Path("train/config.json").read_text())
    assert told["plan"] | {"warmup_steps": 2, "steps_per_epoch": 2, "total_steps": 6} == told["plan"]
    config = told["config"]
    assert (config["method"]["batch_labeled"], config["method"]["batch_unlabeled"]) == (2, 3)  # what is given wins
    assert (config["views"]["crop"], config["system"]["val_images"]) == (96, 4)
    assert json.loads(Path("train/evaluation.json").read_text())["used"]["images"] == 4


@pytest.mark.parametrize("failing", ["trainer.Trainer.__init__", "loop.TrainingLoop.to_the_end"])
def test_a_start_that_fails_leaves_nothing_so_that_the_mended_command_runs(
    run: Run, blocks_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise UserError("ImageNet weights", "nothing", "give --no-pretrained")

    (tmp_path / "notes.txt").write_text("mine")
    command = ["train", "--data", blocks_folder, *flags(epochs="1", steps_per_epoch="1")]
    for out in (["--out", "train", "--tensorboard"], ["--out", "."], []):
        with monkeypatch.context() as patch:
            patch.setattr(f"psmt_viz.train.{failing}", fails)
            refused(run(*command, *out), "ImageNet weights")
        assert [path.name for path in tmp_path.rglob("*")] == ["notes.txt"]
    assert run(*command, "--out", "train").status == 0
    # What was trained before stays, whatever becomes of a later command.
    before = {name: (tmp_path / "train" / name).read_bytes() for name in files(tmp_path / "train")}
    with monkeypatch.context() as patch:
        patch.setattr(f"psmt_viz.train.{failing}", fails)
        assert run(*command, "--out", "train").status == 2
    assert {name: (tmp_path / "train" / name).read_bytes() for name in files(tmp_path / "train")} == before


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    whole: Path, run: Run, blocks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from psmt_viz.cli import run_pictures

    draw = run_pictures.draw_run
    command = ["train", "--data", blocks_folder, *flags(), "--out", "train", "--resume"]  # nothing there: from step 0
    for epoch in (1, 2, 3):

        def stop(report: Any, epoch: int = epoch) -> None:
            draw(report)
            if len(report.curves.metrics) == epoch:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(run_pictures, "draw_run", stop)
            found = run(*command)
        assert found.status == 130
        assert "kept" in found.err.splitlines()[-1]
    assert run(*command).status == 0
    assert files(Path("train")) == files(whole)
    for name in ("last.safetensors", "best.safetensors", "metrics.csv", "config.json", "evaluation.csv", "results.png"):
        assert (Path("train") / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "train"))


def test_a_finished_training_says_so(run: Run, finished: Path, blocks_folder: Path) -> None:
    before = {name: (finished / name).read_bytes() for name in files(finished)}
    found = run("train", "--data", blocks_folder, *flags(), "--out", finished, "--resume")
    assert found.status == 0
    assert {name: (finished / name).read_bytes() for name in files(finished)} == before
    assert re.search("finished|already|nothing left", found.out + found.err)


def test_a_runs_own_config_gives_the_same_run(run: Run, finished: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "train"
    assert run("train", "--config", finished / "config.json", "--out", again).status == 0
    for name in ("config.json", "last.safetensors", "metrics.csv"):
        assert (again / name).read_bytes() == (finished / name).read_bytes()


def test_a_folder_with_a_run_is_not_overwritten(run: Run, finished: Path, blocks_folder: Path) -> None:
    before = {name: (finished / name).read_bytes() for name in files(finished)}
    command = ["train", "--data", blocks_folder, "--out", finished]
    refused(run(*command, *flags()), "no run in", "--resume .* or another --out")
    refused(run(*command, *flags(lr="0.5"), "--resume"), "settings and data", "another --out")
    assert {name: (finished / name).read_bytes() for name in files(finished)} == before


def test_a_checkpoint_cut_in_half_is_told(run: Run, finished: Path, blocks_folder: Path) -> None:
    halve(finished / "state.pt")
    refused(
        run("train", "--data", blocks_folder, *flags(), "--out", finished, "--resume"), "whole checkpoint .*state.pt"
    )
