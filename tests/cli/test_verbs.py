"""The verbs from outside: which files they write, and that equal inputs give equal bytes."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from psmt_viz.cli import main
from tests.commands import VERBS, Outcome, Run, files, flags, halve, refused

DRAWN = (".png", ".pdf", ".svg", ".provenance.json")


def drawn(*stems: str) -> set[str]:
    return {stem + suffix for stem in stems for suffix in DRAWN}


PERTURBATION = {
    *("flips.csv", "flips_paired.csv", "flips_by_class.csv", "flips_by_distance.csv", "flips_by_confidence.csv"),
    *("flips_confusion.csv", "health.json"),
}
EVALUATION = {"evaluation.csv", "evaluation.json", "confusion.csv"}
STUDENTS = ["vat", "pgd", "random", "dropout", "feature-drop", "feature-noise", "cutout"]
"""The kinds that need no teachers."""
WRITES = {
    "checks": {"checks.csv"},
    "evaluate": EVALUATION | drawn("confusion", "class_iou"),
    "perturb": PERTURBATION | drawn("flips", "judges", "transfer", "where"),
    "tsne": {"pixels.parquet", "pixel_images.parquet", "tsne.json"} | drawn("fig2_tsne"),
    "gradcam": {"cams.npz", "gradcam.csv", "gradcam.json"} | drawn("fig1_gradcam"),
    "curves": {"curves.csv", "curves.json"} | drawn("fig3a_rampup", "fig3b_miou", "teachers"),
    "table": {"table1.csv", "table1.md", "table1.tex"},
}
"""Verb -> its files: those of the contract, and beside them what is needed to draw them again."""
SUPPLEMENT = [verb for verb in WRITES if verb != "checks"]
"""What `figures` makes."""
WRITES["reliability"] = {"reliability.csv", "reliability_bins.csv", "reliability.json"} | drawn("reliability")
WRITES["report"] = {"index.html"}
WRITES["figures"] = {"manifest.json"}.union(*(WRITES[verb] for verb in (*SUPPLEMENT, "report")))
WRITES["train"] = EVALUATION | {
    *("config.json", "metrics.csv", "timing.csv", "state.pt", "last.safetensors", "best.safetensors"),
    *("results.png", "batch.png", "confusion.png"),
}
NOT_REPEATED = {"timing.csv", "state.pt"}
"""Files that hold times."""


@dataclass
class Ran:
    folder: Path
    outcomes: dict[str, Outcome]


@pytest.fixture(scope="module")
def twice(blocks_folder: Path, psmt_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    """Every verb, twice, into folders of equal names."""
    run = str(psmt_run)
    commands = {
        "checks": ["--data", str(blocks_folder)],
        "data": [str(blocks_folder)],
        "train": ["--data", str(blocks_folder), *flags()],
        "evaluate": [run],
        "reliability": [run, "--bins", "5"],
        "perturb": [run, "--eps", "0.5", "8", "--seed", "1"],
        "tsne": [run, "--n-pixels", "50", "--eps", "4", "--perplexity", "8"],
        "gradcam": [run, "--images", "2", "--eps", "4"],
        "curves": [run],
        "table": [run],
        "report": [run],
        "figures": [run, "--n-pixels", "50", "--images", "2", "--eps", "4", "--sweep", "0.5", "8"],
    }
    assert tuple(commands) == VERBS
    both = []
    for name in ("first", "second"):
        ran = Ran(tmp_path_factory.mktemp(name), {})
        for verb, arguments in commands.items():
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main([verb, *arguments, "--out", str(ran.folder / verb)])
            ran.outcomes[verb] = Outcome(status, out.getvalue(), err.getvalue())
        both.append(ran)
    return both[0], both[1]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_succeeds_and_says_last_where_its_results_are(twice: tuple[Ran, Ran], verb: str) -> None:
    for ran in twice:
        outcome = ran.outcomes[verb]
        assert outcome.status == 0, outcome.err
        last = outcome.out.rstrip().splitlines()[-1]
        assert last.startswith(f"results: {ran.folder / verb}")
        assert Path(last.removeprefix("results: ")).exists()
        assert "error" not in outcome.err
        assert "warning" not in outcome.err


def test_tsne_prints_what_its_figure_counts(twice: tuple[Ran, Ran]) -> None:
    ran = twice[0]
    facts = json.loads((ran.folder / "tsne" / "tsne.json").read_text())["measured"]
    by = facts["flipped_by"]
    for verb in ("tsne", "figures"):
        out = ran.outcomes[verb].out
        assert f"flipped by VAT: {facts['flipped']['vat']} of 50 (" in out
        assert f"both: {by['both']}, VAT alone: {by['vat_alone']}, T-VAT alone: {by['tvat_alone']}\n" in out
        assert "the placement error (" in out


@pytest.mark.parametrize("verb", sorted(WRITES))
def test_a_verb_writes_exactly_its_files(twice: tuple[Ran, Ran], verb: str) -> None:
    assert files(twice[0].folder / verb) == WRITES[verb]


def test_data_writes_a_voc_folder_that_reads_back(twice: tuple[Ran, Ran], blocks_folder: Path) -> None:
    made = twice[0].folder / "data"
    assert files(made) == files(blocks_folder)
    for name in files(blocks_folder):
        assert (made / name).read_bytes() == (blocks_folder / name).read_bytes()


@pytest.mark.parametrize("verb", VERBS)
def test_equal_inputs_give_equal_bytes(twice: tuple[Ran, Ran], verb: str) -> None:
    first, second = (ran.folder / verb for ran in twice)
    assert files(first) == files(second)
    for name in files(first) - NOT_REPEATED:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_an_exhibit_is_the_same_alone_and_among_all(twice: tuple[Ran, Ran]) -> None:
    folder = twice[0].folder
    for verb in ("evaluate", "tsne", "gradcam", "table"):
        tables = {name for name in WRITES[verb] if name.endswith((".csv", ".npz", ".md", ".tex"))}
        for name in tables:
            assert (folder / verb / name).read_bytes() == (folder / "figures" / name).read_bytes(), name


def test_tables_have_the_columns_of_the_contract(twice: tuple[Ran, Ran]) -> None:
    folder = twice[0].folder
    classes = ("background", "red", "green", "blue", "yellow", "white")
    evaluation = pd.read_csv(folder / "evaluate" / "evaluation.csv")
    assert list(evaluation) == ["role", "miou", "pixel_accuracy", *(f"iou_{name}" for name in classes)]
    assert evaluation["role"].tolist() == ["student", "teacher1", "teacher2", "ensemble"]
    flips = pd.read_csv(folder / "perturb" / "flips.csv")
    assert " ".join(flips) == (
        "kind judge norm eps relative_norm flip_rate flip_rate_low flip_rate_high kl kl_low kl_high kl_per_pixel miou "
        "miou_clean images correct_pixels flipped_pixels"
    )
    for name in PERTURBATION - {"flips.csv", "health.json"}:
        assert " ".join(pd.read_csv(folder / "perturb" / name)).startswith("kind judge norm eps "), name
    pixels = pd.read_parquet(folder / "tsne" / "pixels.parquet")
    assert " ".join(pixels) == (
        "image row col label pred_clean pred_vat pred_tvat x_clean y_clean x_vat y_vat x_tvat y_tvat"
    )
    assert len(pixels) == 50
    assert pixels["label"].value_counts().tolist() == [10] * 5
    with np.load(folder / "gradcam" / "cams.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {
            f"{i}_{name}" for i in range(2) for name in ("image", "truth", "prediction", "clean", "vat", "tvat")
        }
    metrics = pd.read_csv(folder / "train" / "metrics.csv")
    assert " ".join(metrics) == (
        "epoch step learning_rate unsup_weight loss_sup loss_unsup confident_fraction miou_student miou_teacher1 "
        "miou_teacher2 miou_ensemble pixel_accuracy_ensemble teacher_disagreement teacher_distance"
    )
    assert metrics["step"].tolist() == [2, 4, 6]
    timing = pd.read_csv(folder / "train" / "timing.csv")
    assert list(timing) == ["epoch", "images_per_second", "seconds", "peak_memory_mb"]


@pytest.mark.parametrize("verb", ["perturb", "figures"])
def test_every_sweep_contains_an_eps_of_2(twice: tuple[Ran, Ran], verb: str) -> None:
    flips = pd.read_csv(twice[0].folder / verb / "flips.csv")
    asked = {0.5, 8.0} if verb == "perturb" else {0.5, 4.0, 8.0}
    for _, rows in flips[flips["norm"] != "own"].groupby(["kind", "judge"]):
        assert rows["eps"].tolist() == sorted({*asked, 2.0})


def test_flips_per_panel_are_told_with_the_map(twice: tuple[Ran, Ran]) -> None:
    told = json.loads((twice[0].folder / "tsne" / "tsne.json").read_text())
    asked, used, facts = told["asked"], told["used"], told["measured"]
    pixels = pd.read_parquet(twice[0].folder / "tsne" / "pixels.parquet")
    for panel in ("clean", "vat", "tvat"):
        assert facts["flipped"][panel] == int((pixels[f"pred_{panel}"] != pixels["label"]).sum())
    assert 0.5 <= facts["trustworthiness"] <= 1
    assert (asked["perplexity"], used["perplexity"], asked["eps"]) == (8, 8, 4)


# What a verb leaves alone, and where it writes unless told.


def test_without_out_results_go_to_numbered_folders(run: Run, psmt_run: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        found = run("table", psmt_run)
        assert found.out.rstrip().splitlines()[-1] == f"results: runs/table/psmt-{number}"
    assert {path.split("/")[2] for path in files(tmp_path)} == {"psmt-1", "psmt-2"}


def test_a_verb_replaces_only_its_own_files(run: Run, psmt_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "table1.csv").write_text("old")
    assert run("table", psmt_run, "--out", out).status == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "table1.csv").read_text() != "old"
    assert files(out) == WRITES["table"] | {"notes.txt"}


def test_nothing_is_written_to_the_users_data_or_run(
    twice: tuple[Ran, Ran], blocks_folder: Path, psmt_run: Path
) -> None:
    started = psmt_run / "state.pt"  # the last file of the training that made the run
    newest = started.stat().st_mtime_ns
    assert files(psmt_run) <= WRITES["train"]
    for folder in (blocks_folder, psmt_run):
        late = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mtime_ns > newest]
        assert {path.name for path in late} <= EVALUATION  # written by the training itself, at its end


def test_a_run_left_out_is_the_shipped_one(run: Run, psmt_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psmt_viz.runs.shipped_run", lambda: psmt_run)
    named, left_out = run("table", psmt_run, "--out", "a"), run("table", "--out", "b")
    assert named.status == left_out.status == 0
    assert Path("a/table1.csv").read_bytes() == Path("b/table1.csv").read_bytes()


def test_several_runs_in_one_table_and_one_figure(
    run: Run, psmt_run: Path, supervised_run: Path, tmp_path: Path
) -> None:
    assert run("table", psmt_run, supervised_run, "--out", "out").status == 0
    table = pd.read_csv(tmp_path / "out" / "table1.csv")
    assert table["run"].tolist()[:2] == ["psmt", "supervised"]
    assert table["ensemble"].isna().tolist() == [False, True]
    assert run("curves", "--runs", supervised_run, psmt_run, "--out", "out").status == 0
    assert drawn("fig3a_rampup", "fig3b_miou") <= files(tmp_path / "out")


# Runs without teachers.


def test_figures_of_a_supervised_run_compare_vat_with_a_random_direction(
    run: Run, supervised_run: Path, tmp_path: Path
) -> None:
    found = run("figures", supervised_run, "--n-pixels", "10", "--images", "1", "--out", "out")
    assert found.status == 0
    assert "left out" not in found.out
    assert files(tmp_path / "out") == WRITES["figures"] - drawn("fig3a_rampup", "teachers")
    pixels = pd.read_parquet(tmp_path / "out" / "pixels.parquet")
    assert [name for name in pixels if name.startswith("pred_")] == ["pred_clean", "pred_vat", "pred_random"]
    assert "change_random" in pd.read_csv(tmp_path / "out" / "gradcam.csv")
    kinds = pd.read_csv(tmp_path / "out" / "flips.csv")["kind"].unique().tolist()
    assert kinds == STUDENTS


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("tsne", ["--n-pixels", "10", "--panels", "vat", "tvat"]),
        ("gradcam", ["--panels", "tvat"]),
        ("perturb", ["--kinds", "tvat"]),
    ],
)
def test_what_needs_teachers_is_refused(
    run: Run, supervised_run: Path, tmp_path: Path, verb: str, more: list[str]
) -> None:
    refused(run(verb, supervised_run, *more, "--out", tmp_path / "out"), "kinds among vat, pgd, random.*, got tvat")
    assert files(tmp_path) == set()


# Starting, stopping and going on.


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


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    twice: tuple[Ran, Ran], run: Run, blocks_folder: Path, monkeypatch: pytest.MonkeyPatch
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
    whole = twice[0].folder / "train"
    assert files(Path("train")) == files(whole)
    for name in ("last.safetensors", "best.safetensors", "metrics.csv", "config.json", "evaluation.csv", "results.png"):
        assert (Path("train") / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.fixture
def finished(twice: tuple[Ran, Ran], tmp_path: Path) -> Path:
    return Path(shutil.copytree(twice[0].folder / "train", tmp_path / "train"))


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
