"""The verbs from outside: which files they write, that equal inputs give equal bytes, and how they fail."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from psmt_viz.cli import main

VERBS = ("checks", "data", "train", "evaluate", "perturb", "tsne", "gradcam", "curves", "table", "figures")
DRAWN = (".png", ".pdf", ".svg")


def drawn(*stems: str) -> set[str]:
    return {stem + suffix for stem in stems for suffix in DRAWN}


EVALUATION = {"evaluation.csv", "evaluation.json", "confusion.csv"}
WRITES = {
    "checks": {"checks.csv"},
    "evaluate": EVALUATION | drawn("confusion", "class_iou"),
    "perturb": {"flips.csv", "flips_by_class.csv", "health.json"} | drawn("flips"),
    "tsne": {"pixels.parquet", "tsne.json"} | drawn("fig2_tsne"),
    "gradcam": {"cams.npz", "gradcam.csv", "gradcam.json"} | drawn("fig1_gradcam"),
    "curves": drawn("fig3a_rampup", "fig3b_miou"),
    "table": {"table1.csv", "table1.md", "table1.tex"},
}
"""Verb -> its files: those of the contract, and beside them what is needed to draw them again."""
WRITES["figures"] = {"manifest.json"}.union(*(WRITES[verb] for verb in WRITES if verb != "checks"))
WRITES["train"] = EVALUATION | {
    *("config.json", "metrics.csv", "timing.csv", "state.pt", "last.safetensors", "best.safetensors"),
    *("results.png", "batch.png", "confusion.png"),
}
NOT_REPEATED = {"timing.csv", "state.pt"}
"""Files that hold times."""
PROGRESS = re.compile(r"^[a-z ]+ \d+/\d+, .*/s, ETA ")
QUICK = {
    "split": "1_2",
    "crop": "48",
    "long-side": "48 64",
    "warmup-epochs": "1",
    "epochs": "2",
    "steps-per-epoch": "2",
    "batch-labeled": "2",
    "batch-unlabeled": "2",
    "aspp-channels": "8",
    "low-channels": "8",
    "decoder-channels": "8",
}


def flags(**changed: str) -> list[str]:
    """The flags of a training of seconds, some changed."""
    values = QUICK | {name.replace("_", "-"): value for name, value in changed.items()}
    return [word for name, value in values.items() for word in (f"--{name}", *value.split())]


@dataclass
class Outcome:
    status: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a verb in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: Any) -> Outcome:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        seen = capsys.readouterr()
        return Outcome(status, seen.out, seen.err)

    return call


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def refused(found: Outcome, *words: str) -> None:
    """One line that starts with `error: ` and says each of the words; no results are announced."""
    assert found.status == 2
    lines = [line for line in found.err.splitlines() if not PROGRESS.search(line)]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert "Traceback" not in found.err + found.out
    assert "results:" not in found.out
    for word in words:
        assert re.search(word, lines[0]), (word, lines[0])


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    """Figures of few pixels, which the tests of the figures look at; here they only cost time."""
    from psmt_viz.figures import export

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[export.__module__], "DPI", 40)
        yield


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
        "perturb": [run, "--eps", "0.5", "8", "--seed", "1"],
        "tsne": [run, "--n-pixels", "50", "--eps", "4", "--perplexity", "8"],
        "gradcam": [run, "--images", "2", "--eps", "4"],
        "curves": [run],
        "table": [run],
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


@pytest.mark.parametrize("verb", sorted(WRITES))
def test_a_verb_writes_exactly_its_files(twice: tuple[Ran, Ran], verb: str) -> None:
    assert files(twice[0].folder / verb) - {"index.html"} == WRITES[verb]


@pytest.mark.xfail(
    strict=True, reason="the page is not built yet; when it is, take this mark and the set difference away"
)
def test_figures_writes_the_page(twice: tuple[Ran, Ran]) -> None:
    assert (twice[0].folder / "figures" / "index.html").is_file()


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
    assert " ".join(flips).startswith(
        "kind judge norm eps relative_norm flip_rate flip_rate_low flip_rate_high kl kl_per_pixel miou"
    )
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
        "miou_teacher2 miou_ensemble pixel_accuracy_ensemble"
    )
    assert metrics["step"].tolist() == [2, 4, 6]
    timing = pd.read_csv(folder / "train" / "timing.csv")
    assert list(timing) == ["epoch", "images_per_second", "seconds", "peak_memory_mb"]


@pytest.mark.parametrize("verb", ["perturb", "figures"])
def test_every_sweep_contains_an_eps_of_2(twice: tuple[Ran, Ran], verb: str) -> None:
    flips = pd.read_csv(twice[0].folder / verb / "flips.csv")
    asked = {0.5, 8.0} if verb == "perturb" else {0.5, 4.0, 8.0}
    for _, rows in flips.groupby("kind"):
        assert rows["eps"].tolist() == sorted({*asked, 2.0})


def test_flips_per_panel_are_told_with_the_map(twice: tuple[Ran, Ran]) -> None:
    facts = json.loads((twice[0].folder / "tsne" / "tsne.json").read_text())["parameters"]
    pixels = pd.read_parquet(twice[0].folder / "tsne" / "pixels.parquet")
    for panel in ("clean", "vat", "tvat"):
        assert facts["flipped"][panel] == int((pixels[f"pred_{panel}"] != pixels["label"]).sum())
    assert 0.5 <= facts["trustworthiness"] <= 1
    assert (facts["perplexity_asked"], facts["perplexity"], facts["eps"]) == (8, 8, 4)


# What a verb leaves alone, and where it writes unless told.


def test_without_out_results_go_to_numbered_folders(
    run: Callable[..., Outcome], psmt_run: Path, tmp_path: Path
) -> None:
    for number in (1, 2):
        found = run("table", psmt_run)
        assert found.out.rstrip().splitlines()[-1] == f"results: runs/table/psmt-{number}"
    assert {path.split("/")[2] for path in files(tmp_path)} == {"psmt-1", "psmt-2"}


def test_a_verb_replaces_only_its_own_files(run: Callable[..., Outcome], psmt_run: Path, tmp_path: Path) -> None:
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


def test_a_run_left_out_is_the_shipped_one(
    run: Callable[..., Outcome], psmt_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psmt_viz.runs.shipped_run", lambda: psmt_run)
    named, left_out = run("table", psmt_run, "--out", "a"), run("table", "--out", "b")
    assert named.status == left_out.status == 0
    assert Path("a/table1.csv").read_bytes() == Path("b/table1.csv").read_bytes()


def test_several_runs_in_one_table_and_one_figure(
    run: Callable[..., Outcome], psmt_run: Path, supervised_run: Path, tmp_path: Path
) -> None:
    assert run("table", psmt_run, supervised_run, "--out", "out").status == 0
    table = pd.read_csv(tmp_path / "out" / "table1.csv")
    assert table["run"].tolist()[:2] == ["psmt", "supervised"]
    assert table["ensemble"].isna().tolist() == [False, True] + [False] * 4
    assert run("curves", supervised_run, psmt_run, "--out", "out").status == 0
    assert drawn("fig3a_rampup", "fig3b_miou") <= files(tmp_path / "out")


def test_a_damaged_data_set_is_listed_with_exit_status_2(
    run: Callable[..., Outcome], broken: Callable[[str], Path], tmp_path: Path
) -> None:
    found = run("checks", "--data", broken("mask with an unknown id"), "--out", "out")
    assert found.status == 2
    table = pd.read_csv(tmp_path / "out" / "checks.csv")
    assert set(table["kind"]) == {"unknown ids in mask"}
    assert len(table) == 22
    assert len([line for line in found.out.splitlines() if line.startswith("error: unknown ids in mask: ")]) == 22


# Runs without teachers.


def test_figures_of_a_supervised_run_leave_out_what_needs_teachers(
    run: Callable[..., Outcome], supervised_run: Path, tmp_path: Path
) -> None:
    found = run("figures", supervised_run, "--out", "out")
    assert found.status == 0
    assert "t-SNE and Grad-CAM left out" in found.out
    assert "no teachers" in found.out
    expected = WRITES["figures"] - WRITES["tsne"] - WRITES["gradcam"] - drawn("fig3a_rampup")
    assert files(tmp_path / "out") - {"index.html"} == expected
    kinds = pd.read_csv(tmp_path / "out" / "flips.csv")["kind"].unique().tolist()
    assert kinds == ["vat", "random"]


@pytest.mark.parametrize(
    ("verb", "more"), [("tsne", ["--n-pixels", "10"]), ("gradcam", []), ("perturb", ["--kinds", "tvat"])]
)
def test_what_needs_teachers_is_refused(
    run: Callable[..., Outcome], supervised_run: Path, tmp_path: Path, verb: str, more: list[str]
) -> None:
    refused(run(verb, supervised_run, *more, "--out", tmp_path / "out"), "student|vat, random")
    assert files(tmp_path) == set()


# Starting, stopping and going on.


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    twice: tuple[Ran, Ran], run: Callable[..., Outcome], blocks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psmt_viz.exhibits

    draw = psmt_viz.exhibits.draw_run
    command = ["train", "--data", blocks_folder, *flags(), "--out", "train", "--resume"]  # nothing there: from step 0
    for epoch in (1, 2, 3):

        def stop(report: Any, epoch: int = epoch) -> None:
            draw(report)
            if len(report.curves.metrics) == epoch:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(psmt_viz.exhibits, "draw_run", stop)
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


def test_a_finished_training_says_so(run: Callable[..., Outcome], finished: Path, blocks_folder: Path) -> None:
    before = {name: (finished / name).read_bytes() for name in files(finished)}
    found = run("train", "--data", blocks_folder, *flags(), "--out", finished, "--resume")
    assert found.status == 0
    assert {name: (finished / name).read_bytes() for name in files(finished)} == before
    assert re.search("finished|already|nothing left", found.out + found.err)


def test_a_runs_own_config_gives_the_same_run(run: Callable[..., Outcome], finished: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "train"
    assert run("train", "--config", finished / "config.json", "--out", again).status == 0
    for name in ("config.json", "last.safetensors", "metrics.csv"):
        assert (again / name).read_bytes() == (finished / name).read_bytes()


def test_a_folder_with_a_run_is_not_overwritten(
    run: Callable[..., Outcome], finished: Path, blocks_folder: Path
) -> None:
    before = {name: (finished / name).read_bytes() for name in files(finished)}
    command = ["train", "--data", blocks_folder, "--out", finished]
    refused(run(*command, *flags()), "no run in", "--resume .* or another --out")
    refused(run(*command, *flags(lr="0.5"), "--resume"), "settings and data", "another --out")
    assert {name: (finished / name).read_bytes() for name in files(finished)} == before


def test_a_checkpoint_cut_in_half_is_told(run: Callable[..., Outcome], finished: Path, blocks_folder: Path) -> None:
    halve(finished / "state.pt")
    refused(
        run("train", "--data", blocks_folder, *flags(), "--out", finished, "--resume"), "whole checkpoint .*state.pt"
    )


def test_training_starts_once_the_data_are_mended(
    run: Callable[..., Outcome], broken: Callable[[str], Path], blocks_folder: Path
) -> None:
    """A run that never took a step must not stand in the way of the same command."""
    folder = broken("truncated image")
    command = ["train", "--data", folder, *flags(epochs="1"), "--out", "train", "--resume"]
    refused(run(*command), "readable image")
    for name in files(blocks_folder / "JPEGImages"):
        shutil.copy(blocks_folder / "JPEGImages" / name, folder / "JPEGImages" / name)
    found = run(*command)
    assert found.status == 0, found.err


# Mistakes.


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_help_answers(run: Callable[..., Outcome], verb: str | None) -> None:
    found = run(*([verb] if verb else []), "--help")
    assert found.status == 0
    assert found.err == ""
    assert "Usage: psmt-viz" in found.out
    words = {None: VERBS, "train": ("--epochs", "--unsup-weight", "--preset", "--resume")}.get(verb, (str(verb),))
    assert all(word in found.out for word in words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--epohcs", "3"], ["--epohcs", r"[Dd]id you mean.*--epochs"]),
        (["evaluate", "--wieghts", "best"], ["--wieghts", r"[Dd]id you mean.*--weights"]),
        (["tsne", "--npixels", "10"], ["--npixels", r"[Dd]id you mean.*--n-pixels"]),
        (["evalaute"], ["evalaute", r"[Dd]id you mean.*evaluate"]),
        (["train", "--epochs", "many"], ["--epochs", "many"]),
        (["train", "--method", "magic"], ["--method", "psmt", "supervised"]),
        (["train", "--preset", "sceens"], ["--preset", "'sceens'", "scenes, voc_mini"]),
        (["train", "--preset", "voc_mini"], ["voc_mini's images", "--data DIR"]),
        (["train", "--config", "nowhere.json"], ["nowhere.json", "nothing there"]),
        (["train", "--labeled-list", "x.txt"], ["--unlabeled-list|labeled_list"]),
        (["evaluate", "nowhere"], ["run folder nowhere", "no such folder"]),
        (["evaluate", "."], [r"run folder", "no config.json"]),
        (["data", "nowhere"], ["folder nowhere", "nothing there"]),
        (["checks"], ["--data"]),
    ],
)
def test_mistyped_commands(run: Callable[..., Outcome], tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    refused(run(*arguments), *words)
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("lr", "-1"),
        ("lr", "nan"),
        ("ema", "1.5"),
        ("confidence", "2"),
        ("crop", "8"),
        ("eps", "0"),
        ("epochs", "0"),
        ("epochs", "1.5"),
        ("batch-labeled", "2.7"),
        ("warmup-epochs", "-1"),
        ("steps-per-epoch", "0"),
        ("batch-unlabeled", "0"),
        ("output-stride", "7"),
        ("aspp-rates", "0"),
        ("long-side", "200 100"),
        ("jitter", "2 0 0 0"),
        ("assist-top", "0"),
        ("unsup-weight", "-1"),
        ("unsup-weight", "inf"),
        ("seed", "-1"),
        ("workers", "-1"),
        ("val-every", "0"),
        ("ramp", "linear"),
        ("power", "0"),
        ("split", "1_0"),
        ("device", "nonsense"),
        ("device", "cpu:x"),
        ("backbone", "resnet5000"),
        ("backbone", "vit_base_patch16_224"),
    ],
)
def test_settings_out_of_range(
    run: Callable[..., Outcome], blocks_folder: Path, tmp_path: Path, flag: str, value: str
) -> None:
    changed = flags(**{flag: value})
    refused(run("train", "--data", blocks_folder, *changed, "--out", "out"), f"--{flag}")
    assert files(tmp_path) == set()


def test_an_unknown_backbone_names_the_nearest(run: Callable[..., Outcome]) -> None:
    refused(run("train", "--backbone", "resnet5O"), "'resnet5O'", "did you mean resnet50")


@pytest.mark.parametrize("split", ["full", "1_1"])
def test_psmt_without_unlabelled_images(
    run: Callable[..., Outcome], blocks_folder: Path, tmp_path: Path, split: str
) -> None:
    command = ["train", "--data", blocks_folder, "--out", "out", *flags(split=split)]
    refused(run(*command), "unlabelled images for PS-MT, got none", "--method supervised")
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["perturb", "--eps", "0"], ["eps above 0"]),
        (["perturb", "--eps", "-1"], ["eps above 0"]),
        (["perturb", "--eps", "nan"], ["eps above 0"]),
        (["perturb", "--images", "0"], ["images"]),
        (["perturb", "--images", "-2"], ["images"]),
        (["perturb", "--kinds", "vta"], ["kinds among vat, tvat, tvat-official, random", "vta"]),
        (["tsne", "--n-pixels", "50", "--eps", "0"], ["eps above 0"]),
        (["tsne", "--n-pixels", "50000"], ["10,000", r"background \d", "--n-pixels [0-9]+ or less"]),
        (["tsne", "--n-pixels", "7"], ["multiple of 5", "got 7", "give 5"]),
        (["tsne", "--n-pixels", "50", "--classes", "red", "pink"], ["classes among background, red", "'pink'"]),
        (["tsne", "--n-pixels", "50", "--perplexity", "0"], ["perplexity"]),
        (["tsne", "--n-pixels", "50", "--jobs", "0"], ["jobs"]),
        (["tsne", "--n-pixels", "50", "--layer", "q"], ["--layer", "decoder"]),
        (["gradcam", "--target-class", "cat"], ["class among background, red", "'cat'"]),
        (["gradcam", "--eps", "0"], ["eps above 0"]),
        (["gradcam", "--images", "0"], ["images"]),
        (["gradcam", "--images", "7"], ["7 images", "at most 6"]),
        (["evaluate", "--device", "nonsense"], ["--device among auto, cpu", "'nonsense'"]),
        (["evaluate", "--weights", "first"], ["--weights", "last", "best"]),
        (["evaluate", "--data", "nowhere"], ["folder nowhere", "nothing there"]),
        (["evaluate", "--data", "scenes"], ["run's classes background, red", "disk"]),
        (["table", "--weights", "first"], ["--weights"]),
        (["figures", "--eps", "0", "--n-pixels", "50"], ["eps above 0"]),
    ],
)
def test_bad_requests_to_a_run(
    run: Callable[..., Outcome], psmt_run: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    verb, *more = arguments
    refused(run(verb, psmt_run, *more, "--out", "out"), *words)
    if verb != "figures":  # which keeps the exhibits that it had finished
        assert files(tmp_path) == set()
    assert not list(tmp_path.rglob(".*"))


def test_fewer_than_five_classes(run: Callable[..., Outcome], blocks_folder: Path, tmp_path: Path) -> None:
    small = flags(epochs="1", warmup_epochs="0", steps_per_epoch="1")
    chosen = ["--classes", "background", "red", "green", "blue"]
    assert run("train", "--data", blocks_folder, *chosen, *small, "--out", "four").status == 0
    refused(run("tsne", "four", "--n-pixels", "10", "--out", "out"), "5 classes with correct", "name fewer --classes")
    assert files(tmp_path / "out") == set()


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_that_cannot_be_written(
    run: Callable[..., Outcome], blocks_folder: Path, psmt_run: Path, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    subject = {
        "checks": ["--data", blocks_folder],
        "data": [blocks_folder],
        "train": ["--data", blocks_folder, *flags()],
    }
    refused(run(verb, *subject.get(verb, [psmt_run]), "--out", "file/below"), "writable folder file/below", "--out")
    assert files(tmp_path) == {"file"}


def halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.fixture
def copied(psmt_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(psmt_run, tmp_path / "copied"))


RUN_VERBS = ("evaluate", "perturb", "tsne", "gradcam", "table", "figures")


@pytest.mark.parametrize("verb", RUN_VERBS)
def test_a_run_without_weights(run: Callable[..., Outcome], copied: Path, verb: str) -> None:
    for path in copied.glob("*.safetensors"):
        path.unlink()
    refused(run(verb, copied, "--out", "out"), "weights .*last.safetensors", "no weights")
    assert not Path("out").exists()


@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_weights_cut_short(run: Callable[..., Outcome], copied: Path, damage: str) -> None:
    path = copied / "last.safetensors"
    if damage == "half":
        halve(path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"no weights at all" * 10)
    refused(run("evaluate", copied, "--out", "out"), "whole weights in .*last.safetensors", "train again")
    assert not Path("out").exists()
    assert run("evaluate", copied, "--weights", "best", "--out", "out").status == 0


def test_weights_of_another_network(run: Callable[..., Outcome], copied: Path, supervised_run: Path) -> None:
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
@pytest.mark.parametrize("verb", ["evaluate", "curves", "train"])
def test_a_damaged_config(run: Callable[..., Outcome], copied: Path, tmp_path: Path, verb: str, damage: str) -> None:
    path = copied / "config.json"
    path.write_text(CONFIGS[damage](path.read_text()))
    refused(run(verb, *(["--config", path] if verb == "train" else [copied]), "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_config_that_is_a_folder(run: Callable[..., Outcome], copied: Path) -> None:
    refused(run("train", "--config", copied, "--out", "out"), "config")


@pytest.mark.parametrize("damage", ["missing", "empty", "other columns", "no plan"])
def test_curves_of_a_damaged_run(run: Callable[..., Outcome], copied: Path, tmp_path: Path, damage: str) -> None:
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
@pytest.mark.parametrize("verb", ["train", "evaluate", "tsne"])
def test_damaged_data(
    run: Callable[..., Outcome],
    broken: Callable[[str], Path],
    psmt_run: Path,
    verb: str,
    damage: str,
) -> None:
    folder = broken(damage)
    before = files(folder)
    subject = flags() if verb == "train" else [psmt_run]
    refused(run(verb, *subject, "--data", folder, "--out", "out"), DAMAGES[damage][1])
    # A training may leave the settings that it was started with, so that it can be resumed.
    assert files(Path()) <= ({"out/config.json"} if verb == "train" else set())
    assert not list(Path().rglob(".*"))
    assert files(folder) == before


@pytest.mark.parametrize("half", ["labeled", "unlabeled"])
def test_an_empty_half_of_a_split(run: Callable[..., Outcome], blocks_folder: Path, tmp_path: Path, half: str) -> None:
    folder = Path(shutil.copytree(blocks_folder, tmp_path / "data"))
    emptied(f"semi/1_2/{half}.txt")(folder)
    refused(run("train", "--data", folder, *flags(), "--out", "out"), rf"ids in .*1_2/{half}.txt, got an empty list")
    assert not (tmp_path / "out" / "config.json").exists()


# As another process.


def shell(*arguments: Any, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "psmt_viz.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, timeout=120)


def test_the_process_ends_with_the_status_and_one_line(blocks_folder: Path, tmp_path: Path) -> None:
    good = shell("checks", "--data", blocks_folder, "--out", "out", cwd=tmp_path)
    assert good.returncode == 0
    assert all(PROGRESS.search(line) for line in good.stderr.splitlines())
    assert good.stdout.splitlines()[-1].startswith("results: out")
    bad = shell("data", "nowhere", "--out", "other", cwd=tmp_path)
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.count("\n") == 1
    assert bad.stderr.startswith("error: expected a folder nowhere, got nothing there; ")
    assert files(tmp_path) == {"out/checks.csv"}


def test_the_installed_command_is_this_program(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("psmt-viz")
    if not command.exists():
        pytest.skip("psmt-viz is not installed beside this Python")
    found = subprocess.run([command, "--version"], capture_output=True, text=True, cwd=tmp_path, check=False)
    import psmt_viz

    assert (found.returncode, found.stdout.strip()) == (0, psmt_viz.__version__)


def test_help_needs_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom psmt_viz.cli import main\nassert main(['train', '--help']) == 0\n"
        "print([name for name in ('torch', 'torchvision', 'matplotlib', 'sklearn', 'timm') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False, env=os.environ
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "[]"
