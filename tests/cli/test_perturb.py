"""`perturb` from outside: what its flags do, on runs and on networks of one's own, and what is refused."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from psmt_viz.cli import main
from psmt_viz.kinds import KINDS as TABLE
from tests.commands import Outcome, Run, files, refused

KINDS = list(TABLE)
ROLES = ["student", "teacher1", "teacher2", "ensemble"]
TABLES = {
    *("flips.csv", "flips_paired.csv", "flips_by_class.csv", "flips_by_distance.csv", "flips_by_confidence.csv"),
    *("flips_confusion.csv", "health.json"),
}
DRAWN = ("png", "pdf", "svg", "provenance.json")
FIGURES = {f"{name}.{end}" for name in ("flips", "judges", "transfer", "where") for end in DRAWN}
CLOSEUP = {f"closeup.{end}" for end in ("npz", "json", *DRAWN)}


def done(found: Outcome) -> Outcome:
    assert found.status == 0, found.err
    assert "Traceback" not in found.err + found.out
    assert found.out.splitlines()[-1] == "results: out"
    return found


def flips(**wanted: Any) -> pd.DataFrame:
    """The rows of flips.csv where columns have these values."""
    table = pd.read_csv("out/flips.csv")
    return table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])] if wanted else table


def told(part: str, name: str = "health.json") -> dict[str, Any]:
    """A part of a result's facts: subject, asked, used or measured."""
    return json.loads(Path("out", name).read_text())[part]


# On runs.


def test_every_kind_before_every_judge(run: Run, psmt_run: Path) -> None:
    found = done(run("perturb", psmt_run, "--eps", "2", "--images", "1", "--out", "out"))
    assert files(Path("out")) == TABLES | FIGURES
    assert "left out" not in found.out
    table = flips(eps=2.0)
    assert table["kind"].unique().tolist() == KINDS
    assert table["judge"].unique().tolist() == ROLES
    assert not table[["kind", "judge"]].duplicated().any()
    used = told("used")
    assert (used["kinds"], used["judges"], used["left_out"], used["images"]) == (KINDS, ROLES, [], 1)
    assert (told("subject")["run"], told("asked")["search"]) == ("psmt", "finite-difference")
    # The numbers on the screen are those of the table.
    line = next(line for line in found.out.splitlines() if line.split()[:2] == ["tvat", "student"])
    (rate,) = flips(kind="tvat", judge="student", eps=2.0)["flip_rate"]
    assert float(line.split()[4]) == pytest.approx(rate, rel=1e-4)
    (row,) = flips(kind="tvat", judge="student", eps=2.0).to_dict("records")
    assert line.split()[7:9] == [str(row["flipped_pixels"]), str(row["correct_pixels"])]


def test_a_student_alone_leaves_out_what_needs_teachers(run: Run, supervised_run: Path) -> None:
    found = done(run("perturb", supervised_run, "--images", "1", "--eps", "2", "--out", "out"))
    assert files(Path("out")) == TABLES | FIGURES
    lost = [name for name, kind in TABLE.items() if kind.maker not in (None, "student")]
    assert f"skipped, because they need teachers: {', '.join(lost)}" in found.out
    assert sorted({*KINDS} - {*flips()["kind"]}) == sorted(lost)
    assert flips()["judge"].unique().tolist() == ["student"]


def test_chosen_kinds_and_judges(run: Run, psmt_run: Path) -> None:
    chosen = ["--kinds", "tvat", "vat", "--judges", "ensemble", "student"]
    done(run("perturb", psmt_run, *chosen, "--images", "2", "--eps", "8", "--out", "out"))
    assert files(Path("out")) == TABLES | FIGURES
    table = flips()
    assert {(row.kind, row.judge, row.eps) for row in table.itertuples()} == {
        *itertools.product(["tvat", "vat"], ["ensemble", "student"], [2.0, 8.0])
    }


@pytest.fixture(scope="module")
def as_the_paper(psmt_run: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The rows of `vat` and `pgd` with every setting left out."""
    out = tmp_path_factory.mktemp("plain")
    chosen = ["--kinds", "vat", "pgd", "--judges", "student", "--images", "1", "--eps", "2"]
    assert main(["perturb", str(psmt_run), *chosen, "--out", str(out)]) == 0
    return pd.read_csv(out / "flips.csv")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("search", "exact"),
        ("search", "central-difference"),
        ("norm", "pixel"),
        ("objective", "cross-entropy"),
        ("iterations", "3"),
        ("ascent-steps", "2"),
    ],
)
def test_how_a_perturbation_is_found(
    run: Run, psmt_run: Path, as_the_paper: pd.DataFrame, flag: str, value: str
) -> None:
    kind = "pgd" if flag == "ascent-steps" else "vat"
    plain = as_the_paper[as_the_paper["kind"] == kind]
    command = ["perturb", psmt_run, "--kinds", kind, "--judges", "student", "--images", "1", "--eps", "2"]
    done(run(*command, f"--{flag}", value, "--out", "out"))
    assert str(told("asked")[flag.replace("-", "_")]) == value
    changed = flips()
    assert changed["norm"].tolist() == ["pixel" if flag == "norm" else "image"]
    # Whatever finds it, another one is found.
    assert changed["kl"].tolist() != plain["kl"].tolist()
    if flag == "norm":  # as long at every place
        assert changed["relative_norm"].item() > 2 * plain["relative_norm"].item()
    else:
        assert changed["relative_norm"].item() == pytest.approx(plain["relative_norm"].item(), rel=1e-4)


def test_a_closer_look(run: Run, psmt_run: Path) -> None:
    kinds = ["vat", "tvat", "random"]
    more = ["--kinds", *kinds, "--closeup", "val01"]
    done(run("perturb", psmt_run, *more, "--out", "out"))
    assert files(Path("out")) == CLOSEUP
    assert (told("asked", "closeup.json")["eps"], told("asked", "closeup.json")["judge"]) == (2, "student")
    with np.load("out/closeup.npz") as arrays:
        assert arrays["image"].shape == (56, 56, 3)
        for kind in kinds:
            assert np.linalg.norm(arrays[f"magnitude_{kind}"]) == pytest.approx(2, rel=1e-4)
        before = arrays["prediction"]
    done(run("perturb", psmt_run, *more, "--eps", "8", "--judges", "ensemble", "--out", "out"))
    assert (told("asked", "closeup.json")["eps"], told("asked", "closeup.json")["judge"]) == (8, "ensemble")
    with np.load("out/closeup.npz") as arrays:
        assert np.linalg.norm(arrays["magnitude_vat"]) == pytest.approx(8, rel=1e-4)
        assert (arrays["prediction"] != before).any()


# On networks of one's own.

MODELS = """
import torch
from torch import nn


class Tiny(nn.Module):
    multiple = 4

    def __init__(self, classes=6):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.Conv2d(8, classes, 1)

    def encode(self, images):
        return self.first(images).relu()

    def decode(self, z, size):
        return nn.functional.interpolate(self.last(z), size=tuple(size), mode="bilinear")


class Deaf(Tiny):
    def decode(self, z, size):
        return torch.zeros(len(z), 6, *size)


class Cut(Tiny):
    def decode(self, z, size):
        return super().decode(z.detach(), size)


class Flat(Tiny):
    def decode(self, z, size):
        return super().decode(0 * z, size)


class Several(Tiny):
    def decode(self, z, size):
        return super().decode(z, size), z


class Pyramid(Tiny):
    def encode(self, images):
        return [super().encode(images)] * 2


def make():
    torch.manual_seed(0)
    return Tiny()


def with_teachers():
    torch.manual_seed(0)
    return Tiny(), Tiny(), Tiny()


def seven():
    return Tiny(7)


def number():
    return 3


def poisoned():
    made = Tiny()
    made.last.weight.data[0, 0] = float("nan")
    return made


def torchvision():
    from torchvision.models.segmentation import deeplabv3_resnet50

    torch.manual_seed(0)
    return deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=6)


def smp():
    import segmentation_models_pytorch

    torch.manual_seed(0)
    return segmentation_models_pytorch.DeepLabV3Plus("resnet18", encoder_weights=None, classes=6)
"""


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


def test_a_folder_that_was_there_stays(run: Run, psmt_run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    refused(run("perturb", psmt_run, "--eps", "0", "--out", "out/below"), "eps above 0")
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]
