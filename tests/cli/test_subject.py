"""Networks of the user's own in place of a run, and what is refused of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.own_networks import MODELS
from tests.cli.perturbing import CLOSEUP, FIGURES, KINDS, ROLES, TABLES, done, flips, told
from tests.cli.written import WRITES
from tests.commands import Run, files, refused


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module in the working directory, a new one for each test."""
    name = f"models_of_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODELS)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each not in ("", str(tmp_path))])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize("library", ["make", "torchvision", "smp"])
def test_a_network_of_ones_own(run: Run, models: str, blocks_folder: Path, library: str) -> None:
    if library == "smp":
        pytest.importorskip("segmentation_models_pytorch")
    command = ["perturb", "--model", f"{models}:{library}", "--data", blocks_folder, "--images", "1", "--eps", "2"]
    found = done(run(*command, "--kinds", "vat", "random", "--out", "out"))
    assert files(Path("out")) == TABLES | FIGURES
    assert "left out" not in found.out  # nothing that was asked for
    assert flips()["kind"].tolist() == ["vat", "random"]
    facts = told("subject")
    assert (facts["model"], facts["dataset"]) == (f"{models}:{library}", "blocks")
    assert "run" not in facts


def test_a_student_and_teachers_of_ones_own(run: Run, models: str, blocks_folder: Path) -> None:
    command = ["perturb", "--model", f"{models}:with_teachers", "--data", blocks_folder, "--images", "2", "--eps", "2"]
    found = done(run(*command, "--out", "out"))
    assert files(Path("out")) == TABLES | FIGURES
    assert "left out" not in found.out
    assert flips(eps=2.0)["kind"].unique().tolist() == KINDS
    assert flips()["judge"].unique().tolist() == ROLES


def test_a_closer_look_at_a_network_of_ones_own(run: Run, models: str, blocks_folder: Path) -> None:
    command = ["perturb", "--model", f"{models}:make", "--data", blocks_folder, "--closeup", "val02"]
    done(run(*command, "--out", "out"))
    assert files(Path("out")) == CLOSEUP


def test_results_of_a_network_of_ones_own_are_named_after_it(run: Run, models: str, blocks_folder: Path) -> None:
    command = ["perturb", "--model", f"{models}:make", "--data", blocks_folder, "--images", "1", "--kinds", "random"]
    found = run(*command)
    assert found.status == 0, found.err
    assert found.out.splitlines()[-1] == f"results: runs/perturb/{models}-make-1"


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("make", ["student"]),
        ("one_teacher", ["student", "teacher"]),
        ("with_teachers", ["student", "teacher1", "teacher2", "ensemble"]),
    ],
)
def test_all_that_can_be_done_with_any_number_of_teachers(
    run: Run, models: str, blocks_folder: Path, name: str, roles: list[str]
) -> None:
    given = ["--model", f"{models}:{name}", "--data", blocks_folder]
    small = ["--n-pixels", "10", "--images", "1", "--sweep", "2"]
    found = done(run("figures", *given, *small, "--out", "out"))
    left_out = [line for line in found.out.splitlines() if "left out:" in line]
    # Networks that were never trained may have too little correct for these two; the others need nothing.
    assert {line.partition(" left out:")[0] for line in left_out} <= {"curves", "Grad-CAM", "t-SNE"}
    assert ("skipped, because they need teachers: tvat" in found.out) == (name == "make")
    assert [*json.loads(Path("out/manifest.json").read_text())["numbers"]["miou"]] == roles
    assert {"index.html", "table1.csv", "flips.csv"} <= files(Path("out"))
    assert pd.read_csv("out/flips.csv")["judge"].unique().tolist() == roles
    found = run("reliability", *given, "--out", "again")
    assert [line.split()[0] for line in found.out.splitlines()[1:-1]] == roles


MISTAKES = {
    "{}:mkae": ["a name mkae", "did you mean .*:make"],
    "{}_absent:make": ["a module .*_absent", "No module named"],
    "{}": ["module:name"],
    "{}:number": ["to return a network", "int"],
    "{}:seven": ["logits of 6 classes", "7 of the student"],
    "{}:poisoned": ["finite weights", "NaN or infinity in .*last.weight"],
    "{}:Deaf": ["a gradient of the objective", "zero"],
    "{}:Cut": ["a gradient of the objective", "zero"],
    "{}:Flat": ["a gradient of the objective", "zero"],
    "{}:Several": ["one tensor", "tuple of 2"],
    "{}:Pyramid": ["one tensor", "list of 2"],
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_network_that_cannot_be_looked_at(run: Run, models: str, blocks_folder: Path, name: str) -> None:
    before = files(Path())
    refused(run("perturb", "--model", name.format(models), "--data", blocks_folder, "--images", "1"), *MISTAKES[name])
    assert files(Path()) == before
    assert not Path("runs").exists()


@pytest.mark.parametrize("more", [["--search", "exact"], ["--objective", "cross-entropy"], ["--kinds", "pgd"]])
@pytest.mark.parametrize("name", ["Deaf", "Cut", "Flat"])
def test_no_way_of_searching_goes_on_without_a_gradient(
    run: Run, models: str, blocks_folder: Path, name: str, more: list[str]
) -> None:
    command = ["perturb", "--model", f"{models}:{name}", "--data", blocks_folder, "--images", "1", *more]
    refused(run(*command), "a gradient of the objective|to raise|ascent", "zero|none|constant")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], ["--data with --model, got no --data"]),
        (["--data", "nowhere"], ["folder nowhere", "nothing there"]),
        (["--data", "BLOCKS", "--kinds", "tvat"], ["kinds among vat, pgd", "tvat"]),
        (["--data", "BLOCKS", "--judges", "ensemble"], ["judges among student", "ensemble"]),
        (["--data", "BLOCKS", "--weights", "best"], ["--weights with a run, got --model"]),
        (["--data", "BLOCKS", "--classes", "red", "pink"], ["pink"]),
        (
            ["--data", "BLOCKS", "--classes", "red", "green"],
            [r"logits of 2 classes \(red, green\)", "6 of the student"],
        ),
        (["--data", "BLOCKS", "--closeup", "nowhere"], ["a validation image of blocks", "'nowhere'"]),
        (["--data", "BLOCKS", "--device", "nonsense"], ["--device among", "'nonsense'"]),
    ],
)
def test_bad_requests_to_a_network(
    run: Run, models: str, blocks_folder: Path, more: list[str], words: list[str]
) -> None:
    more = [str(blocks_folder) if word == "BLOCKS" else word for word in more]
    refused(run("perturb", "--model", f"{models}:make", *more, "--out", "out/below"), *words)
    assert not Path("out").exists()


@pytest.mark.parametrize("library", ["make", "with_teachers"])
def test_scores_of_a_network_of_ones_own(run: Run, models: str, blocks_folder: Path, library: str) -> None:
    done(run("evaluate", "--model", f"{models}:{library}", "--data", blocks_folder, "--out", "out"))
    table = pd.read_csv("out/evaluation.csv")
    assert table["role"].tolist() == (ROLES if library == "with_teachers" else ["student"])
    assert told("subject", "evaluation.json")["model"] == f"{models}:{library}"
    refused(
        run("evaluate", "--model", f"{models}:{library}", "--data", blocks_folder, "--part", "labeled"),
        "--part labeled",
        "--model",
    )


def test_reliability_of_a_network_of_ones_own(run: Run, models: str, blocks_folder: Path) -> None:
    done(run("reliability", "--model", f"{models}:make", "--data", blocks_folder, "--out", "out"))
    assert pd.read_csv("out/reliability.csv")["role"].tolist() == ["student"]


def test_figures_of_networks_of_ones_own(run: Run, psmt_run: Path, blocks_folder: Path, tmp_path: Path) -> None:
    """All that needs no training: the same numbers as of the run whose networks they are."""
    Path("of_a_run.py").write_text(
        f"import psmt_viz\n\n\ndef make():\n    return psmt_viz.load_run({str(psmt_run)!r})\n"
    )
    more = ["--n-pixels", "10", "--images", "1", "--sweep", "2", "--data", blocks_folder]
    found = done(run("figures", "--model", "of_a_run:make", *more, "--out", "out"))
    assert "curves left out" in found.out
    written = files(tmp_path / "out")
    for command in ("evaluate", "tsne", "gradcam", "perturb", "table"):
        assert WRITES[command] <= written
    assert not {"curves.csv", "teachers.png"} & written
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert (manifest["run"]["model"], manifest["inputs"]) == ("of_a_run:make", {})
    assert run("evaluate", psmt_run, "--out", "own").status == 0
    assert Path("out/confusion.csv").read_bytes() == Path("own/confusion.csv").read_bytes()
