"""From a subject to files: the manifest, and the origin that files carry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from psmt_viz.data import VocFolder
from psmt_viz.errors import UserError
from psmt_viz.make import compute, make_all, save_and_draw, with_paper_eps
from psmt_viz.probes.curves import curves
from psmt_viz.probes.settings import FiguresSettings, GradcamSettings, TsneSettings
from psmt_viz.redraw import redraw
from psmt_viz.results import Cams, Evaluation, Flips, PixelEmbedding
from psmt_viz.runs import Run
from psmt_viz.subject import RunSubject
from tests.commands import coarse_figures


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    with coarse_figures():
        yield


@pytest.fixture(scope="module")
def everything(psmt_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    out = tmp_path_factory.mktemp("everything")
    (out / "notes.txt").write_text("mine")
    subject = RunSubject.open(psmt_run, data=None, weights="last", device="cpu")
    remarks = make_all(subject, out, FiguresSettings(n_pixels=25, images=1, eps=4.0, sweep=(2.0,), seed=3))
    return out, remarks


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_manifest_says_what_made_what(everything: tuple[Path, list[str]], psmt_run: Path) -> None:
    out, _ = everything
    manifest = json.loads((out / "manifest.json").read_text())
    named = {name: value for files in manifest["outputs"].values() for name, value in files.items()}
    assert set(named) == {path.name for path in out.iterdir()} - {"manifest.json", "notes.txt"}
    assert all(digest(out / name) == value for name, value in named.items())
    assert set(manifest["outputs"]) == {"evaluate", "perturb", "curves", "table", "gradcam", "tsne", "report"}
    assert {"config.json", "metrics.csv", "last.safetensors"} <= set(manifest["inputs"])
    assert all(digest(psmt_run / name) == value for name, value in manifest["inputs"].items())
    asked = {"n_pixels": 25, "images": 1, "eps": 4.0, "seed": 3}
    assert asked.items() <= manifest["parameters"].items()
    assert manifest["data"] == VocFolder(Path(Run.open(psmt_run).config.data.data)).fingerprint()
    assert {name: metadata.version(name) for name in ("torch", "numpy")}.items() <= manifest["versions"].items()
    assert manifest["run"]["run"] == "psmt"


def test_redrawing_what_was_made_gives_the_same_files(everything: tuple[Path, list[str]], tmp_path: Path) -> None:
    redraw(everything[0], tmp_path)
    again = {path.name for path in tmp_path.iterdir()}
    assert {"fig1_gradcam.pdf", "fig2_tsne.svg", "flips.png", "index.html", "manifest.json"} <= again
    assert {name for name in again if digest(tmp_path / name) != digest(everything[0] / name)} == set()


def test_the_manifest_tells_the_sweep_and_the_weights(everything: tuple[Path, list[str]]) -> None:
    """What made the tables cannot be told from the manifest without them."""
    manifest = json.loads((everything[0] / "manifest.json").read_text())
    assert manifest["parameters"]["sweep"] == [2.0]
    assert manifest["run"]["weights"] == "last"
    assert [name for name in manifest["inputs"] if name.endswith(".safetensors")] == ["last.safetensors"]


def test_the_manifest_holds_the_numbers_of_the_tables(everything: tuple[Path, list[str]]) -> None:
    out, _ = everything
    numbers = json.loads((out / "manifest.json").read_text())["numbers"]
    scores = Evaluation.load(out).table().set_index("role")["miou"].to_dict()
    assert numbers["miou"] == pytest.approx(scores)
    flips = pd.read_csv(out / "flips.csv").query("judge == 'student' and norm != 'own'")
    rates = {f"{row.kind}, eps {row.eps:g}": row.flip_rate for row in flips.itertuples()}
    assert numbers["flip_rate"] == pytest.approx(rates)
    assert numbers["tsne_flipped"] == json.loads((out / "tsne.json").read_text())["measured"]["flipped"]


def test_results_answer_to_the_settings(everything: tuple[Path, list[str]]) -> None:
    out, remarks = everything
    assert len(pd.read_parquet(out / "pixels.parquet")) == 25
    assert len(pd.read_csv(out / "gradcam.csv")) == 1
    flips = pd.read_csv(out / "flips.csv").query("norm != 'own'")
    assert sorted(flips["eps"].unique()) == [2.0, 4.0]
    for name in ("tsne.json", "gradcam.json"):
        told = json.loads((out / name).read_text())
        asked, subject = told["asked"], told["subject"]
        assert (asked["eps"], asked["seed"], subject["run"], subject["dataset"]) == (4.0, 3, "psmt", "blocks")
    assert remarks[0].startswith("flipped by VAT: ") and " of 25 (" in remarks[0]
    assert remarks[3].startswith("Median move")
    assert remarks[4].startswith("t-SNE: ")
    scores = Evaluation.load(out).table().set_index("role")["miou"]
    assert remarks[5].startswith(f"Validation mIoU: the student {100 * scores['student']:.2f} %, ")
    vat = pd.read_csv(out / "flips.csv").query("kind == 'vat' and eps == 2 and judge == 'student'").iloc[0]
    assert remarks[6].startswith("At eps = 2 ") and f"VAT turns {vat.flipped_pixels:,} (" in remarks[6]
    assert len(remarks) == 7
    facts = json.loads((out / "tsne.json").read_text())["measured"]
    manifest = json.loads((out / "manifest.json").read_text())["numbers"]
    assert manifest["tsne_flipped_by"] == facts["flipped_by"]
    assert (out / "notes.txt").read_text() == "mine"


def test_the_map_and_the_sweep_count_the_same_correct_pixels(everything: tuple[Path, list[str]]) -> None:
    """Two probes, one student, the same images."""
    by_class = (
        Flips.load(everything[0]).by_class.query("kind == 'vat' and eps == 4 and judge == 'student'").set_index("class")
    )
    counted = json.loads((everything[0] / "tsne.json").read_text())["measured"]["correct_pixels"]
    assert by_class["correct_pixels"].to_dict() == counted


def test_a_figures_file_says_where_it_comes_from(everything: tuple[Path, list[str]]) -> None:
    for stem, expected in {
        "fig2_tsne": {"n_pixels": 25, "eps": 4.0, "seed": 3},
        "fig1_gradcam": {"images": 1, "eps": 4.0, "seed": 3},
        **{name: {"eps": [2.0, 4.0], "seed": 3} for name in ("flips", "judges", "transfer", "where")},
    }.items():
        with Image.open(everything[0] / f"{stem}.png") as image:
            facts = json.loads(image.text["Description"])
        run = {"run": "psmt", "dataset": "blocks", "split": "1_2", "method": "psmt", "backbone": "test_resnet"}
        assert run.items() <= facts["subject"].items()
        assert expected.items() <= facts["asked"].items()
        assert facts["figure"] == stem
        assert {"used", "measured", "psmt-viz"} <= facts.keys()


def test_the_table_is_that_of_the_evaluation(everything: tuple[Path, list[str]]) -> None:
    scores = Evaluation.load(everything[0]).table().set_index("role")["miou"]
    row = pd.read_csv(everything[0] / "table1.csv").iloc[0]
    columns = {"ensemble": "ensemble", "single_teacher": "teacher1", "teacher2": "teacher2", "student": "student"}
    for column, role in columns.items():
        assert row[column] == pytest.approx(100 * scores[role], abs=0.0051)
    assert (row["run"], row["dataset"], row["split"]) == ("psmt", "blocks", "1_2")


def test_the_ramp_up_is_that_of_the_first_run_that_has_one(
    psmt_run: Path, supervised_run: Path, tmp_path: Path
) -> None:
    paths = save_and_draw(curves([supervised_run, psmt_run]), tmp_path).paths
    named = {path.name.partition(".")[0] for path in paths}
    assert named == {"curves", "fig3a_rampup", "fig3b_miou", "teachers"}
    with Image.open(tmp_path / "fig3a_rampup.png") as image:
        facts = json.loads(image.text["Description"])
    assert (facts["run"], facts["kind"], facts["length"], facts["final_weight"]) == ("psmt", "gaussian", 20, 1.5)
    with Image.open(tmp_path / "fig3b_miou.png") as image:
        assert json.loads(image.text["Description"])["runs"] == ["supervised", "psmt"]
    paths = save_and_draw(curves([supervised_run]), tmp_path).paths
    assert {path.name.partition(".")[0] for path in paths} == {"curves", "fig3b_miou"}


def test_settings_of_the_figures_are_kept_with_what_was_asked(psmt_run: Path) -> None:
    subject = RunSubject.open(psmt_run, data=None, weights="last", device="cpu")
    settings = TsneSettings(n_pixels=10, perplexity=3.0)
    found = compute(PixelEmbedding, subject, settings=settings, arrows=True)
    assert (found.asked["arrows"], found.asked["n_pixels"]) == (True, 10)
    assert "arrows" not in compute(PixelEmbedding, subject, settings=settings).asked
    with pytest.raises(TypeError, match="arrows"):
        compute(Cams, subject, settings=GradcamSettings(images=1), arrows=True)


def test_what_cannot_be_made_is_left_out(psmt_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One result after the other fails; the others, the page and the manifest are there."""
    refused = UserError("something else", "this", "do that")
    subject = RunSubject.open(psmt_run, data=None, weights="last", device="cpu")
    few = FiguresSettings(n_pixels=10, images=1, sweep=(2.0,))

    def fails(*_: Any, **__: Any) -> None:
        raise refused

    files = {"evaluate": "evaluation.json", "gradcam": "gradcam.json", "tsne": "tsne.json", "perturb": "flips.json"}
    for number, name in enumerate(files):
        out = tmp_path / name
        out.mkdir()
        with monkeypatch.context() as patch:
            for other in [name, *list(files)[:number]]:
                patch.setattr(f"psmt_viz.probes.{other}.{other}", fails)
            remarks = make_all(subject, out, few)
        left_out = [line for line in remarks if line.endswith("left out: expected something else, got this; do that")]
        assert len(left_out) == number + 1
        outputs = json.loads((out / "manifest.json").read_text())["outputs"]
        assert set(outputs) & set(files) == set(list(files)[number + 1 :])
        assert (out / "index.html").is_file()


def test_an_error_where_nothing_can_be_made(
    supervised_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise UserError("something else", "this", "do that")

    for name in ("evaluate", "gradcam", "tsne", "perturb", "curves"):
        monkeypatch.setattr(f"psmt_viz.probes.{name}.{name}", fails)
    subject = RunSubject.open(supervised_run, data=None, weights="last", device="cpu")
    with pytest.raises(UserError, match="expected something else, got this; do that"):
        make_all(subject, tmp_path, FiguresSettings(n_pixels=10))
    assert list(tmp_path.iterdir()) == []


def test_every_sweep_has_the_papers_eps_once() -> None:
    assert with_paper_eps([8.0, 0.5]) == [0.5, 2.0, 8.0]
    assert with_paper_eps((2.0, 2.0)) == [2.0]
