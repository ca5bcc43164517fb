"""The grid of runs behind the evidence: its driver, its tables, and exhibits that are drawn from the tables alone."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from statistics import mean
from typing import Any

import evidence
import numpy as np
import pandas as pd
import pytest
from commands import QUICK, words
from evidence_grid import ARMS, BOTH, GRID, LABELS, Cell, cells, flip_epochs, flips_folder
from evidence_summaries import ensemble_during_training, gains, perturbations, perturbations_in_short, scores
from evidence_tables import MACHINE, Tables, finished, measured
from figures import synthetic
from figures.pictures import holds

from psmt_viz.config import configure, decisive
from psmt_viz.errors import UserError
from psmt_viz.files import read_json, write_json
from psmt_viz.results import ROLES, Evaluation, read_csv
from psmt_viz.runs import Run

ROOT = Path(__file__).parent.parent
TABLES = [field.name for field in fields(Tables)]
EVERY = [cell for preset in GRID for cell in cells(preset)]


@pytest.fixture
def trained(psmt_run: Path, small_settings: dict[str, Any], tmp_path: Path) -> tuple[Cell, Path]:
    """A finished run in a folder of its own, as the driver leaves it before perturbations are measured."""
    others = {name: value for name, value in small_settings.items() if name != "split"}
    cell = Cell("scenes", "1_8", "psmt", 7, "small", tuple(words(others)))
    folder = tmp_path / "runs" / cell.name
    shutil.copytree(psmt_run, folder)
    facts = read_json(folder / "config.json")
    facts["config"]["data"]["split"], facts["config"]["system"]["seed"] = cell.split, cell.seed
    write_json(folder / "config.json", facts)
    write_json(folder / MACHINE, ["one", "other"])
    return cell, folder


def small(seeds=(1, 2), arms=BOTH, split="1_8", dataset="scenes", seed=0) -> Tables:
    """Tables of runs that never were, with scores drawn at random."""
    rng = np.random.default_rng(seed)
    rows, epochs = [], []
    for arm in arms:
        for number in seeds:
            roles = ROLES if arm != "supervised" else ROLES[:1]
            row = {"run": Cell(dataset, split, arm, number).name, "dataset": dataset, "split": split, "arm": arm}
            row |= {"seed": number, "method": "supervised" if arm == "supervised" else "psmt"}
            row |= {"batch_labeled": 8, "batch_unlabeled": 8}
            rows.append(row | {f"miou_{role}": rng.uniform(0.3, 0.6) if role in roles else np.nan for role in ROLES})
            for epoch in range(1, 9):
                values = {f"miou_{role}": rng.uniform(0.3, 0.6) if role in roles else np.nan for role in ROLES}
                weight = 0.1 * max(0, epoch - 2) if arm != "supervised" else np.nan
                epochs.append({"run": row["run"], "epoch": epoch, "step": 50 * epoch, "unsup_weight": weight} | values)
    none = pd.DataFrame({"run": []})
    return Tables(runs=pd.DataFrame(rows), classes=none, epochs=pd.DataFrame(epochs), flips=none, paired=none)


def test_names_are_folders_and_differ():
    names = [cell.name for cell in EVERY]
    assert len(set(names)) == len(names)
    assert all(Path(name).name == name and " " not in name for name in names)


def test_the_grid_holds_what_the_claims_need():
    count = Counter((cell.preset, cell.split, cell.arm) for cell in EVERY)
    assert {count["scenes", split, arm] for split in ("1_16", "1_8", "1_4", "1_2") for arm in BOTH} == {3}
    assert {count["voc_mini", "1_8", arm] for arm in ARMS} == {3}
    assert {count["camvid", "1_8", arm] for arm in BOTH} == {2}
    assert 0 not in {cell.seed for cell in EVERY}  # settings were chosen on it
    assert set(ARMS) == set(LABELS)


@pytest.mark.parametrize("preset", GRID)
def test_arms_differ_in_nothing_but_the_method(preset):
    """Steps, views, batches, learning rate and network are alike within a labelled share."""
    for split in {cell.split for cell in cells(preset)}:
        alike = []
        for cell in cells(preset, splits=[split], seeds=[1]):
            settings = decisive(cell.config())
            recipe = ("ramp", "noise", "xi", "norm_floor", "teacher_start", "pseudo_labels", "count_padding")
            for name in ("method", "perturbation", "labeled_stream", *recipe):
                del settings["method"][name]
            alike.append({name: value for name, value in settings.items() if name != "recipe"})
        assert len(alike) >= 2
        assert all(settings == alike[0] for settings in alike)


def test_parts_of_the_grid():
    chosen = list(cells("voc_mini", splits=["1_8"], arms=["psmt", "no-tvat"], seeds=[2, 5]))
    assert [cell.name for cell in chosen] == [
        *("voc_mini-psmt-1_8-2", "voc_mini-psmt-1_8-5", "voc_mini-no-tvat-1_8-2", "voc_mini-no-tvat-1_8-5")
    ]
    (one,) = cells("camvid", arms=["psmt"], seeds=[1], variant="r50")
    assert (one.name, one.dataset) == ("camvid-r50-psmt-1_8-1", "camvid r50")


def test_perturbations_are_measured_from_the_end_of_the_warm_up_to_the_last_epoch():
    assert flip_epochs(Cell("voc_mini", "1_8", "psmt", 1).config().method) == [2, 4, 6, 8, 12]
    assert {cell.arm for cell in EVERY if cell.perturbed} == {"psmt"}


def test_a_run_is_finished_after_its_last_step(trained):
    _, folder = trained
    assert finished(folder)
    assert not finished(folder.with_name("missing"))
    metrics = read_csv(folder / "metrics.csv")
    metrics.iloc[:-1].to_csv(folder / "metrics.csv", index=False)
    assert not finished(folder)
    metrics.to_csv(folder / "metrics.csv", index=False)
    (folder / "evaluation.json").unlink()
    assert not finished(folder)


def test_a_run_in_tables(trained):
    cell, folder = trained
    epochs = flip_epochs(Run.open(folder).config.method)
    assert epochs == [2, 3, 4]
    for epoch in epochs:
        assert set(measured(cell, folder)) == {"runs", "classes", "epochs"}  # half measured is not measured
        flips_folder(folder, epoch).mkdir()
        synthetic.flips(("vat", "tvat", "random"), judges=ROLES, eps=(2.0,)).save(flips_folder(folder, epoch))
    tables = measured(cell, folder)
    assert list(tables) == TABLES
    assert {name for table in tables.values() for name in table["run"]} == {cell.name}
    evaluation = Evaluation.load(folder).table().set_index("role")
    (row,) = tables["runs"].to_dict("records")
    assert (row["dataset"], row["split"], row["arm"], row["seed"]) == ("scenes small", "1_8", "psmt", 7)
    assert (row["steps"], row["machine"], row["recipe"]) == (80, "one then other", "supplement")
    assert row["hours"] == pytest.approx(read_csv(folder / "timing.csv")["seconds"].sum() / 3600, abs=6e-4)
    for role in ROLES:
        assert row[f"miou_{role}"] == evaluation.loc[role, "miou"]
        own = tables["classes"][tables["classes"]["role"] == role].set_index("class")["iou"]
        assert own.to_dict() == evaluation.loc[role].filter(like="iou_").rename(lambda n: n[4:]).to_dict()
        assert own.mean() == pytest.approx(row[f"miou_{role}"])
    pd.testing.assert_frame_equal(tables["epochs"].drop(columns="run"), read_csv(folder / "metrics.csv"))
    assert sorted(set(tables["flips"]["epoch"])) == epochs
    assert len(tables["flips"]) == 3 * 3 * len(ROLES)


def test_settings_of_a_cell_are_those_of_its_command():
    cell = Cell("voc_mini", "1_8", "official-code", 3, "long", ("--epochs", "22", "--devices", "2"))
    assert cell.config() == configure(
        "voc_mini",
        {"data": str(Path("voc_mini").resolve()), "split": "1_8", "seed": 3, "epochs": 22},
        recipe="official-code",
    )
    assert flip_epochs(cell.config().method)[-1] == 24


@pytest.mark.parametrize("other", ["--precision bf16", "--val-list some.txt", "--power 1"])
def test_a_run_of_other_settings_than_its_cells_is_left_out(trained, tmp_path, capsys, other):
    cell, folder = trained
    changed = replace(cell, flags=(*cell.flags, *other.split()))
    with pytest.raises(UserError, match=r"the settings of scenes small in .*, got others; give runs .* --variant"):
        measured(changed, folder)
    tables = evidence.gather(folder.parent, [changed], tmp_path / "tables")
    assert len(tables.runs) == 0
    assert f"{cell.name} is left out: expected the settings" in capsys.readouterr().out
    assert len(evidence.gather(folder.parent, [changed, cell], tmp_path / "tables").runs) == 1


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
    assert list(evidence.gather(folder.parent, [broken, cell], tmp_path / "tables").runs["seed"]) == [7]


def test_tables_load_as_they_were_and_take_a_run_once(trained, tmp_path):
    cell, folder = trained
    first = small().updated([measured(cell, folder)])
    first.save(tmp_path / "tables")
    loaded = Tables.load(tmp_path / "tables")
    again = loaded.updated([measured(cell, folder)])
    assert len(again.runs) == len(first.runs) == 5
    for name in TABLES:
        assert not getattr(again, name).duplicated().any()
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(first, name), check_dtype=False)
        pd.testing.assert_frame_equal(getattr(again, name), getattr(first, name), check_dtype=False)
    assert len(Tables.load(tmp_path / "nothing").runs) == 0


def test_a_run_measured_anew_keeps_nothing_of_before(trained):
    cell, folder = trained
    first = measured(cell, folder)
    flips = synthetic.flips(("vat", "tvat"), judges=ROLES, eps=(2.0,))
    old = {"flips": flips.flips.assign(run=cell.name), "paired": flips.paired.assign(run=cell.name)}
    before = small().updated([first | old])
    assert len(before.flips) > 0
    again = before.updated([first])
    assert (len(again.flips), len(again.paired), len(again.runs)) == (0, 0, len(before.runs))


def test_a_run_made_by_hand_has_no_machine(trained):
    cell, folder = trained
    (folder / MACHINE).unlink()
    assert measured(cell, folder)["runs"]["machine"].item() == "not noted"


def test_gains_are_taken_on_the_same_seed():
    tables = small(seeds=(1, 2, 3))
    tables = Tables(**{name: getattr(tables, name) for name in TABLES} | {"runs": tables.runs.iloc[:-1]})
    rows = {(row["arm"], row["seed"]): row for row in tables.runs.to_dict("records")}
    expected = {
        seed: 100 * (rows["psmt", seed]["miou_ensemble"] - rows["supervised", seed]["miou_student"]) for seed in (1, 2)
    }
    found = gains(tables.runs, "psmt")
    assert found.set_index("seed")["gain"].to_dict() == pytest.approx(expected)
    line = next(line for line in scores(tables.runs).splitlines() if "| PS-MT |" in line)
    assert "nan" not in scores(tables.runs)
    low, high = sorted(expected.values())
    assert line.endswith(f"| {mean(expected.values()):+.1f} ({low:+.1f} to {high:+.1f}) |")


def test_the_ensemble_above_the_student_is_counted_by_thirds():
    tables = small(seeds=(1, 2))
    counts, above = [0, 0, 0], [[], [], []]
    for row in tables.epochs.to_dict("records"):
        if "psmt" in row["run"] and row["epoch"] > 2:  # six epochs after the warm-up, two a third
            third = (row["epoch"] - 3) // 2
            difference = 100 * (row["miou_ensemble"] - row["miou_student"])
            counts[third] += difference > 0
            above[third].append(difference)
    _, _, line = ensemble_during_training(tables).splitlines()
    assert line.startswith("| scenes | 1/8 | 2 | " + " | ".join(
        f"{count} of 4, {mean(values):+.2f}" for count, values in zip(counts, above, strict=True)
    ))  # fmt: skip


def test_t_vat_minus_vat_has_a_row_a_run_and_epoch():
    paired = synthetic.flips(("vat", "tvat"), judges=ROLES, eps=(2.0, 8.0)).paired
    tables = small()
    tables = Tables(**{name: getattr(tables, name) for name in TABLES} | {"paired": paired.assign(run="r", epoch=3)})
    _, _, line = perturbations(tables).splitlines()
    assert line == "| r | 3 |" + " +0.004 (+0.001 to +0.007) |" * len(ROLES)


@pytest.fixture(scope="module")
def redrawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exhibits, made from the tables that lie in the repository."""
    out = tmp_path_factory.mktemp("exhibits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["evidence.py", "--out", str(out)])
        assert evidence.main() == 0
    return out


def test_the_exhibits_come_from_the_tables_alone(redrawn):
    """What lies in the repository is what its tables give."""
    there = evidence.RESULTS
    drawn = {path.name for path in redrawn.iterdir()}
    assert drawn == {path.name for path in there.iterdir()} - {f"{name}.csv" for name in TABLES}
    for path in redrawn.iterdir():
        assert path.suffix == ".png" or path.read_bytes() == (there / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", sorted(path.name for path in evidence.RESULTS.glob("*.png")))
def test_its_figures_show_the_tables(redrawn, tmp_path, name):
    kept = shutil.copy(evidence.RESULTS / name, tmp_path / f"kept-{name}")  # a difference is drawn beside it
    holds(kept, redrawn / name)


def test_without_runs_there_is_nothing_but_the_published_table(tmp_path, monkeypatch):
    words = ["evidence.py", "--tables", str(tmp_path / "none"), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    assert evidence.main() == 0
    assert not list(tmp_path.glob("*.png"))
    assert (tmp_path / "table1.md").read_text().count("| published |") == 4


def test_places_where_t_vat_lies_above_or_below_are_counted():
    """Two runs at two epochs: above, below, above, and an interval that holds 0."""
    runs = [cell.name for cell in (Cell("scenes", "1_8", "psmt", seed) for seed in (1, 2))]
    places = [(runs[0], 3, 0.01), (runs[0], 9, -0.02), (runs[1], 3, 0.03), (runs[1], 9, 0.001)]
    key = {"kind": "tvat", "against": "vat", "eps": 2.0}
    paired = [
        key | {"run": run, "epoch": epoch, "judge": judge, "difference": middle}
        | {"difference_low": middle - 0.005, "difference_high": middle + 0.005}
        for run, epoch, middle in places
        for judge in ROLES
    ]  # fmt: skip
    paired += [row | {"against": "random", "difference_low": 0.5} for row in paired]
    paired += [row | {"eps": 8.0} for row in paired]
    rates = zip(places, (0.1, 0.2, 0.3, 0.4), strict=True)
    flips = [
        {"run": run, "epoch": epoch, "judge": judge, "kind": "vat", "eps": 2.0, "flip_rate": rate}
        for (run, epoch, _), rate in rates
        for judge in ROLES
    ]
    tables = small()
    measured = {"paired": pd.DataFrame(paired), "flips": pd.DataFrame(flips)}
    tables = Tables(**{name: getattr(tables, name) for name in TABLES} | measured)
    _, _, *lines = perturbations_in_short(tables).splitlines()
    values = "| 4 | 2 | 1 | 30.00 (20.00 to 40.00) | -0.9500 (-2.0000 to +0.1000) |"
    judges = ("student", "teacher 1", "teacher 2", "ensemble")
    assert lines == [f"| scenes | 2 | {judge} {values}" for judge in judges]


def rows_of(path: Path) -> set[str]:
    return {line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("| ")}


def test_pages_show_the_tables_as_they_are():
    told = rows_of(ROOT / "docs" / "what-holds.md")
    expected = set().union(
        *(rows_of(evidence.RESULTS / f"{name}.md") for name in ("scores", "ensemble", "perturbations"))
    )
    columns = {row.count("|") for row in expected}
    assert {row for row in told if row.count("|") in columns} == expected
    short = {line for line in rows_of(ROOT / "README.md") if "| 1/8 |" in line}
    assert short == {line for line in rows_of(evidence.RESULTS / "scores.md") if "| 1/8 |" in line}


def driver(folder: Path, **changed) -> evidence.Driver:
    options = {"preset": "scenes", "data": None, "runs": folder, "device": "cpu", "jobs": 2, "threads": 1} | changed
    return evidence.Driver(argparse.Namespace(**options))


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


def test_perturbations_follow_the_training(trained, monkeypatch):
    cell, folder = trained
    work, called = driver(folder.parent), []

    def call(command, log):
        called.append(command)
        out = Path(command[command.index("--out") + 1])
        out.mkdir()
        synthetic.flips(("vat", "tvat", "random"), judges=ROLES, eps=(2.0,)).save(out)
        return 0

    monkeypatch.setattr(work, "_call", call)
    assert list(work.work([cell])) == [cell]
    assert [command[4] for command in called] == ["epoch-0002", "epoch-0003", "epoch-0004"]
    assert list(work.work([cell])) == []
    assert len(called) == 3


def test_commands_are_shown_and_nothing_is_run(tmp_path, monkeypatch, capfd):
    words = ["scenes", "--splits", "1_8", "--seeds", "1", "2", "--arms", "psmt", "--runs", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", ["evidence.py", *words, "--device", "cpu", "--dry-run", "--", "--accumulate", "2"])
    assert evidence.main() == 0
    shown = capfd.readouterr().out
    assert shown.count("psmt-viz train --preset scenes --split 1_8") == 2
    assert shown.count("batch: 8 labelled + 8 unlabelled images a step, in 2 parts of 4 + 4") == 1
    assert shown.count("psmt-viz perturb") == 2 * 5
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
        ("--ema 2", r"--ema"),
    ],
)
def test_flags_are_looked_at_before_anything_is_trained(flags, told, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["evidence.py", "scenes", "--runs", str(tmp_path / "runs"), "--", *flags.split()])
    with pytest.raises(UserError, match=told):
        evidence.main()
    assert not (tmp_path / "runs").exists()


def test_a_machine_is_noted_when_it_changes(tmp_path, monkeypatch):
    names = iter("AABA")
    monkeypatch.setattr(evidence, "machine", lambda device, threads: next(names))
    for _ in range(4):
        driver(tmp_path)._note_machine(tmp_path)
    assert read_json(tmp_path / MACHINE) == ["A", "B", "A"]


def children(process: subprocess.Popen) -> list[int]:
    """The processes that one has at work; each is listed with the thread that started it."""
    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(number) for each in lists for number in each.read_text().split()]


def started(command: list[str], runs: Path, rng: random.Random) -> subprocess.Popen:
    """A driver in the middle of a training that it started itself."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until, since = time.monotonic() + 180, None
    while not since or not any(
        state.stat().st_mtime > since for state in runs.glob("*/state.pt") if not finished(state.parent)
    ):
        assert process.poll() is None and time.monotonic() < until, "no training was met"
        if not since and children(process):
            since = time.time()
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.5))
    return process


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs to find a driver's trainings in /proc")
def test_stopped_at_random_no_run_is_lost_and_none_trained_twice(tmp_path):
    """Three stops in the middle of trainings: asked to end, and killed twice; then trainings go on without a driver."""
    longer = words({name: value for name, value in QUICK.items() if name != "split"} | {"steps-per-epoch": 12})
    runs, tables = tmp_path / "runs", tmp_path / "tables"
    command = [sys.executable, str(ROOT / "analysis" / "evidence.py"), "scenes", "--splits", "1_2", "--seeds", "1", "2"]
    command += ["--variant", "tiny", "--runs", str(runs), "--tables", str(tables), "--device", "cpu"]
    command += ["--jobs", "2", "--threads", "1", "--", *longer]
    rng = random.Random(0)
    first = started(command, runs, rng)
    first.terminate()
    assert first.wait(60) == 130
    assert any("stopped; what was done is kept" in log.read_text() for log in runs.glob("*.log"))
    for _ in range(2):
        killed = started(command, runs, rng)
        trainings = children(killed)
        for number in trainings:
            os.kill(number, signal.SIGSTOP)
        killed.kill()
        killed.wait()
        try:
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as next_one:
                assert next_one.stdout.readline().startswith("waiting for what is at work on")
                next_one.kill()
        finally:
            for number in trainings:
                os.kill(number, signal.SIGCONT)
    last = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert last.returncode == 0, last.stdout + last.stderr
    wanted = [cell.name for cell in cells("scenes", splits=["1_2"], seeds=[1, 2], variant="tiny")]
    found = Tables.load(tables)
    assert sorted(found.runs["run"]) == sorted(wanted)
    assert set(found.runs["steps"]) == {36}
    assert Counter(found.epochs["run"]) == dict.fromkeys(wanted, 3)
    before = {name: (runs / name / "last.safetensors").stat().st_mtime_ns for name in wanted}
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert before == {name: (runs / name / "last.safetensors").stat().st_mtime_ns for name in wanted}
    for name in wanted:
        assert (runs / f"{name}.log").read_text().count("results: ") == 1
