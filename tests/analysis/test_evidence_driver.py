"""The driver: what fails stops no other run, and no stop loses one or trains it twice."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import evidence
import evidence_driver
import pytest
from evidence_grid import cells, labeled_folder
from evidence_tables import MACHINE, Tables, finished

from psmt_viz.files import read_json
from psmt_viz.results import ROLES
from tests.analysis.made_up import driver
from tests.commands import QUICK, words
from tests.conftest import CLASSES
from tests.figures import synthetic
from tests.processes import BLANK_FIGURES, starting_with

ROOT = Path(__file__).parents[2]


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    work, called = driver(tmp_path), []
    monkeypatch.setattr(work, "_call", lambda command, log: called.append(command[1]) or 2)
    assert list(work.work(list(cells("scenes", splits=["1_2"], seeds=[1])))) == []
    assert called == ["train", "train"]
    assert "scenes-supervised-1_2-1: train failed with status 2; see" in capsys.readouterr().out


def test_a_training_that_changes_nothing_has_failed(tmp_path, monkeypatch, capsys):
    work = driver(tmp_path)
    monkeypatch.setattr(work, "_call", lambda command, log: 0)
    assert list(work.work(list(cells("scenes", splits=["1_2"], seeds=[1], arms=["psmt"])))) == []
    assert "failed with status 0" in capsys.readouterr().out


def test_a_run_that_cannot_be_read_stops_no_other(trained, tmp_path, monkeypatch, capsys):
    cell, folder = trained
    broken = replace(cell, seed=8)
    shutil.copytree(folder, folder.parent / broken.name)
    (folder.parent / broken.name / "config.json").write_text("{")
    work, called = driver(folder.parent), []
    monkeypatch.setattr(work, "_call", lambda command, log: called.append(command[2]) or 2)
    assert list(work.work([broken, cell])) == []
    assert called == [str(folder)]
    assert f"{broken.name}: expected" in capsys.readouterr().out
    tables, left_out = evidence.gather(folder.parent, [broken, cell], tmp_path / "tables")
    assert (list(tables.runs["seed"]), list(left_out)) == ([7], [broken.name])


def test_measurements_follow_the_training(trained, monkeypatch):
    cell, folder = trained
    work, called = driver(folder.parent), []

    def call(command, log):
        called.append(command)
        out = Path(command[command.index("--out") + 1])
        out.mkdir()
        if command[1] == "evaluate":
            synthetic.evaluation().save(out)
        else:
            synthetic.flips(("vat", "tvat", "random"), judges=ROLES, eps=(2.0,)).save(out)
        return 0

    monkeypatch.setattr(work, "_call", call)
    assert list(work.work([cell])) == [cell]
    assert [command[1:5] for command in called] == [
        ["evaluate", str(folder), "--part", "labeled"],
        *(["perturb", str(folder), "--weights", f"epoch-000{epoch}"] for epoch in (2, 3, 4)),
    ]
    assert list(work.work([cell])) == []
    assert len(called) == 4


def test_a_machine_is_noted_when_it_changes(tmp_path, monkeypatch):
    names = iter("AABA")
    monkeypatch.setattr(evidence_driver, "machine", lambda device, threads: next(names))
    for _ in range(4):
        driver(tmp_path)._note_machine(tmp_path)
    assert read_json(tmp_path / MACHINE) == ["A", "B", "A"]


def children(process: subprocess.Popen) -> list[int]:
    """The processes that one has at work; each is listed with the thread that started it."""
    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(number) for each in lists for number in each.read_text().split()]


@contextmanager
def at_work(command: list[str], runs: Path, rng: random.Random, env: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A driver in the middle of a training that it started itself."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    try:
        until, since = time.monotonic() + 180, None
        while not since or not any(
            state.stat().st_mtime > since for state in runs.glob("*/state.pt") if not finished(state.parent)
        ):
            assert process.poll() is None and time.monotonic() < until, "no training was met"
            if not since and children(process):
                since = time.time()
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.5))
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def paused(processes: list[int]) -> Iterator[None]:
    """Processes stand still meanwhile; one that has ended by then is none of them."""
    try:
        for number in processes:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGSTOP)
        yield
    finally:
        for number in processes:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGCONT)


def first_line(command: list[str], path: Path, env: dict[str, str]) -> str:
    """What a command says first; it is killed then."""
    with path.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output, env=env) as process:
        try:
            until = time.monotonic() + 120
            while "\n" not in path.read_text():
                assert process.poll() is None and time.monotonic() < until, "it said nothing"
                time.sleep(0.05)
        finally:
            process.kill()
    return path.read_text().splitlines()[0]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs to find a driver's trainings in /proc")
def test_stopped_at_random_no_run_is_lost_and_none_trained_twice(blocks_folder, tmp_path):
    """Three stops in the middle of trainings: asked to end, and killed twice; then trainings go on without a driver."""
    # The built-in data would take most of the time to validate on.
    changed = {"warmup-steps": 12, "steps-per-epoch": 12, "backbone": "test_resnet", "classes": " ".join(CLASSES)}
    longer = [*words({name: value for name, value in QUICK.items() if name != "split"} | changed), "--no-pretrained"]
    runs, tables = tmp_path / "runs", tmp_path / "tables"
    command = [
        sys.executable,
        str(ROOT / "analysis" / "evidence.py"),
        "voc_mini",
        "--data",
        str(blocks_folder),
        "--splits",
        "1_16",
        "--seeds",
        "1",
        "2",
    ]
    command += ["--variant", "tiny", "--runs", str(runs), "--tables", str(tables), "--device", "cpu"]
    command += ["--jobs", "2", "--threads", "1", "--", *longer]
    rng, quick = random.Random(0), starting_with(BLANK_FIGURES, tmp_path)
    with at_work(command, runs, rng, quick) as first:
        first.terminate()
        assert first.wait(60) == 130
    assert any("stopped; finished work is kept" in log.read_text() for log in runs.glob("*.log"))
    for _ in range(2):
        with at_work(command, runs, rng, quick) as killed, paused(children(killed)):
            killed.kill()
            killed.wait()
            assert first_line(command, tmp_path / "said.txt", quick).startswith(
                "waiting for another process that works on"
            )
    last = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, env=quick)
    assert last.returncode == 0, last.stdout + last.stderr
    wanted = [cell.name for cell in cells("voc_mini", splits=["1_16"], seeds=[1, 2], variant="tiny")]
    found = Tables.load(tables)
    assert sorted(found.runs["run"]) == sorted(wanted)
    assert set(found.runs["steps"]) == {36}
    assert Counter(found.epochs["run"]) == dict.fromkeys(wanted, 3)
    before = {name: (runs / name / "last.safetensors").stat().st_mtime_ns for name in wanted}
    subprocess.run(command, check=True, capture_output=True, timeout=300, env=quick)
    assert before == {name: (runs / name / "last.safetensors").stat().st_mtime_ns for name in wanted}
    for name in wanted:
        ends = Counter(re.findall("^results: (.*)$", (runs / f"{name}.log").read_text(), re.MULTILINE))
        assert ends == {str(runs / name): 1, str(labeled_folder(runs / name)): 1}
