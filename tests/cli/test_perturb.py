"""`perturb` from outside: what its flags do, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from psmt_viz.cli import main
from psmt_viz.kinds import KINDS as TABLE
from tests.cli.perturbing import CLOSEUP, FIGURES, KINDS, ROLES, TABLES, done, flips, told
from tests.commands import Run, files, refused


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


def test_a_folder_that_was_there_stays(run: Run, psmt_run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    refused(run("perturb", psmt_run, "--eps", "0", "--out", "out/below"), "eps above 0")
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]
