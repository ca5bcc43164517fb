"""Every command from outside: which files it writes, and that equal inputs give byte-identical results."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest

from psmt_viz.cli import main
from tests.cli.written import EVALUATION, NOT_REPEATED, PERTURBATION, STUDENTS, WRITES, drawn
from tests.commands import COMMANDS, Outcome, Run, coarse_figures, files, flags, refused


@dataclass
class Ran:
    folder: Path
    outcomes: dict[str, Outcome]


@pytest.fixture(scope="module", autouse=True)
def pictures() -> Iterator[None]:
    """Drawn, for they shall be the same each time."""
    with coarse_figures():
        yield


@pytest.fixture(scope="module")
def twice(blocks_folder: Path, psmt_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    """Every command, twice, into folders of equal names."""
    run = str(psmt_run)
    arguments = {
        "checks": ["--data", str(blocks_folder)],
        "data": [str(blocks_folder)],
        "train": ["--data", str(blocks_folder), *flags()],
        "evaluate": [run],
        "reliability": [run, "--bins", "5"],
        "perturb": [run, "--images", "3", "--eps", "0.5", "8", "--seed", "1"],
        "tsne": [run, "--n-pixels", "50", "--eps", "4", "--perplexity", "8"],
        "gradcam": [run, "--images", "2", "--eps", "4"],
        "curves": [run],
        "table": [run],
        "report": [run],
        "figures": [run, "--n-pixels", "50", "--images", "2", "--eps", "4", "--sweep", "8"],
    }
    assert tuple(arguments) == COMMANDS
    both = []
    for name in ("first", "second"):
        ran = Ran(tmp_path_factory.mktemp(name), {})
        for command, words in arguments.items():
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main([command, *words, "--out", str(ran.folder / command)])
            ran.outcomes[command] = Outcome(status, out.getvalue(), err.getvalue())
        both.append(ran)
    return both[0], both[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_succeeds_and_says_last_where_its_results_are(twice: tuple[Ran, Ran], command: str) -> None:
    for ran in twice:
        outcome = ran.outcomes[command]
        assert outcome.status == 0, outcome.err
        last = outcome.out.rstrip().splitlines()[-1]
        assert last.startswith(f"results: {ran.folder / command}")
        assert Path(last.removeprefix("results: ")).exists()
        assert "error" not in outcome.err
        assert "warning" not in outcome.err


def test_tsne_prints_what_its_figure_counts(twice: tuple[Ran, Ran]) -> None:
    ran = twice[0]
    facts = json.loads((ran.folder / "tsne" / "tsne.json").read_text())["measured"]
    by = facts["flipped_by"]
    for command in ("tsne", "figures"):
        out = ran.outcomes[command].out
        assert f"flipped by VAT: {facts['flipped']['vat']} of 50 (" in out
        assert f"both: {by['both']}, VAT alone: {by['vat_alone']}, T-VAT alone: {by['tvat_alone']}\n" in out
        assert "the placement error (" in out


@pytest.mark.parametrize("command", ["figures", "report"])
def test_a_page_is_announced_by_an_address_that_opens_it(twice: tuple[Ran, Ran], command: str) -> None:
    ran = twice[0]
    address, results = ran.outcomes[command].out.splitlines()[-2:]
    page = Path(unquote(urlsplit(address.removeprefix("page: ")).path))
    assert address.startswith("page: file:///")
    assert page == (ran.folder / command / "index.html").resolve()
    assert page.is_file()
    assert results.startswith("results: ")


def test_gradcam_prints_its_numbers(twice: tuple[Ran, Ran]) -> None:
    ran = twice[0]
    lines = ran.outcomes["gradcam"].out.splitlines()
    table = pd.read_csv(ran.folder / "gradcam" / "gradcam.csv", dtype={"image": str})
    assert lines[0].split()[:3] == ["image", "class", "map"]
    for row in table.to_dict("records"):
        own = [line for line in lines if line.startswith(row["image"])]
        assert [f"{row['mass_clean']:.3g}" in line.split() for line in own] == [True, False, False]


@pytest.mark.parametrize("command", sorted(WRITES))
def test_a_command_writes_exactly_its_files(twice: tuple[Ran, Ran], command: str) -> None:
    assert files(twice[0].folder / command) == WRITES[command]


def test_data_writes_a_voc_folder_that_reads_back(twice: tuple[Ran, Ran], blocks_folder: Path) -> None:
    made = twice[0].folder / "data"
    assert files(made) == files(blocks_folder)
    for name in files(blocks_folder):
        assert (made / name).read_bytes() == (blocks_folder / name).read_bytes()


@pytest.mark.parametrize("command", COMMANDS)
def test_equal_inputs_give_byte_identical_files(twice: tuple[Ran, Ran], command: str) -> None:
    first, second = (ran.folder / command for ran in twice)
    assert files(first) == files(second)
    for name in files(first) - NOT_REPEATED:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_result_is_the_same_alone_and_among_all(twice: tuple[Ran, Ran]) -> None:
    folder = twice[0].folder
    for command in ("evaluate", "tsne", "gradcam", "table"):
        tables = {name for name in WRITES[command] if name.endswith((".csv", ".npz", ".md", ".tex"))}
        for name in tables:
            assert (folder / command / name).read_bytes() == (folder / "figures" / name).read_bytes(), name


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
    assert list(timing) == ["epoch", "images_per_second", "seconds", "peak_memory_mb", "data_wait"]


@pytest.mark.parametrize("command", ["perturb", "figures"])
def test_every_sweep_contains_an_eps_of_2(twice: tuple[Ran, Ran], command: str) -> None:
    flips = pd.read_csv(twice[0].folder / command / "flips.csv")
    asked = {0.5, 8.0} if command == "perturb" else {4.0, 8.0}
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


def test_nothing_is_written_to_the_users_data_or_run(
    twice: tuple[Ran, Ran], blocks_folder: Path, psmt_run: Path
) -> None:
    started = psmt_run / "state.pt"  # the last file of the training that made the run
    newest = started.stat().st_mtime_ns
    assert files(psmt_run) <= WRITES["train"]
    for folder in (blocks_folder, psmt_run):
        late = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mtime_ns > newest]
        assert {path.name for path in late} <= EVALUATION  # written by the training itself, at its end


def test_several_runs_in_one_table_and_one_figure(
    run: Run, psmt_run: Path, supervised_run: Path, tmp_path: Path
) -> None:
    assert run("table", psmt_run, supervised_run, "--out", "out").status == 0
    table = pd.read_csv(tmp_path / "out" / "table1.csv")
    assert table["run"].tolist()[:2] == ["psmt", "supervised"]
    assert table["ensemble"].isna().tolist() == [False, True]
    assert run("curves", "--runs", supervised_run, psmt_run, "--out", "out").status == 0
    assert drawn("fig3a_rampup", "fig3b_miou") <= files(tmp_path / "out")


def test_figures_of_a_run_that_finds_few_classes_have_a_map_of_those(
    run: Run, supervised_run: Path, tmp_path: Path
) -> None:
    found = run("figures", supervised_run, "--n-pixels", "10", "--images", "1", "--out", "out")
    assert found.status == 0
    told = json.loads((tmp_path / "out" / "tsne.json").read_text())
    used, correct = told["used"], told["measured"]["correct_pixels"]
    assert 2 <= len(used["classes"]) < 5
    assert sum(used["pixels"].values()) == 10
    assert {name for name, count in correct.items() if count == 0} <= set(used["left_out"])
    assert "Left out, because too few of their pixels are predicted correctly: " in found.out
    assert "no T-VAT, which needs teachers: VAT and a random direction" in found.out
    assert files(tmp_path / "out") == WRITES["figures"] - drawn("fig3a_rampup", "teachers")
    maps = pd.read_csv(tmp_path / "out" / "gradcam.csv")  # without teachers, of VAT and a random direction
    assert list(maps.filter(like="change_")) == ["change_vat", "change_random"]
    kinds = pd.read_csv(tmp_path / "out" / "flips.csv")["kind"].unique().tolist()
    assert kinds == STUDENTS


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("tsne", ["--n-pixels", "10", "--panels", "vat", "tvat"]),
        ("gradcam", ["--panels", "tvat"]),
        ("perturb", ["--kinds", "tvat"]),
    ],
)
def test_what_needs_teachers_is_refused(
    run: Run, supervised_run: Path, tmp_path: Path, command: str, more: list[str]
) -> None:
    refused(run(command, supervised_run, *more, "--out", tmp_path / "out"), "kinds among vat, pgd, random.*, got tvat")
    assert files(tmp_path) == set()
