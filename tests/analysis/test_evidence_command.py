"""The command line of the evidence."""

from __future__ import annotations

import sys
from dataclasses import replace

import evidence
import pytest

from psmt_viz.errors import UserError


def test_commands_are_shown_and_nothing_is_run(tmp_path, monkeypatch, capfd):
    words = ["scenes", "--splits", "1_8", "--seeds", "1", "2", "--arms", "psmt", "--runs", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", ["evidence.py", *words, "--device", "cpu", "--dry-run", "--", "--accumulate", "2"])
    assert evidence.main() == 0
    shown = capfd.readouterr().out
    assert shown.count("psmt-viz train --preset scenes --split 1_8") == 2
    assert shown.count("batch: 8 labelled + 8 unlabelled images per step, in 2 micro-batches of 4 + 4") == 1
    assert shown.count("psmt-viz evaluate") == 2
    assert shown.count("psmt-viz perturb") == 2 * 5
    assert not (tmp_path / "runs").exists()


def test_a_plan_that_cannot_be_made_says_so_in_one_line(tmp_path, monkeypatch, capfd):
    words = ["voc", "--data", str(tmp_path / "none"), "--runs", str(tmp_path / "runs"), "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["evidence.py", *words])
    with pytest.raises(SystemExit, match="2"):
        evidence.main()
    told = capfd.readouterr().err.removeprefix("loading torch ...\n").splitlines()
    assert len(told) == 1 and told[0].startswith("error: expected") and "none" in told[0]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "command",
    [
        "voc_mini",
        "scenes --data x",
        "other",
        "scenes --seeds x",
        "camvid --data x --splits 1_16",
        "scenes --variant ../x",
        "scenes --variant a-b",
    ],
)
def test_a_wrong_command_line_ends_with_status_2(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evidence.py", *command.split()])
    with pytest.raises(SystemExit, match="2"):
        evidence.main()
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--ema 0.5", r"expected the settings of scenes, got --ema 0.5; name other ones with --variant NAME"),
        ("--nothing 1", r"expected flags of psmt-viz train, got .*--nothing.*; see psmt-viz train --help"),
        ("--ema 2", r"expected --ema in \[0, 1\), got 2"),
        ("--help", r"expected flags of psmt-viz train, got .*--help"),
    ],
)
def test_flags_are_looked_at_before_anything_is_trained(flags, told, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["evidence.py", "scenes", "--runs", str(tmp_path / "runs"), "--", *flags.split()])
    with pytest.raises(UserError, match=told):
        evidence.main()
    assert not (tmp_path / "runs").exists()


def test_a_variant_has_settings_of_its_own(tmp_path, monkeypatch):
    words = ["scenes", "--variant", "long", "--runs", str(tmp_path / "runs"), "--", "--accumulate", "2"]
    monkeypatch.setattr(sys, "argv", ["evidence.py", *words])
    with pytest.raises(UserError, match="expected other settings for variant long, got the preset's; add their flags"):
        evidence.main()
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_left_out_is_told_at_the_end(trained, tmp_path, monkeypatch, capsys):
    cell, folder = trained
    renamed = replace(cell, split="1_2")
    folder.rename(folder.parent / renamed.name)
    words = ["scenes", "--splits", "1_2", "--arms", "psmt", "--seeds", "7", "--variant", "small"]
    words += ["--runs", str(folder.parent), "--tables", str(tmp_path / "tables"), "--", *cell.flags, "--power", "1"]
    monkeypatch.setattr(sys, "argv", ["evidence.py", *words])
    assert evidence.main() == 1
    assert f"{renamed.name} is left out: expected the settings of scenes small" in capsys.readouterr().out
