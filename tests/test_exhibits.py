"""From a run to files: the manifest, the origin that files carry, and what a run is opened with."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from psmt_viz import exhibits
from psmt_viz.config import DataConfig
from psmt_viz.data import Scenes, VocFolder
from psmt_viz.errors import UserError
from psmt_viz.exhibits import (
    RunSubject,
    make_all,
    make_curves,
    make_table,
    open_config_data,
    resolve_device,
    tsne_remarks,
)
from psmt_viz.probes.evaluate import evaluate
from psmt_viz.redraw import redraw
from psmt_viz.results import Evaluation, Flips, TrainingBatch
from psmt_viz.runs import Run
from tests.commands import coarse_figures
from tests.figures import synthetic


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    with coarse_figures():
        yield


def opened(folder: Path, **settings: Any) -> RunSubject:
    return RunSubject.open(folder, **{"data": None, "weights": "last", "device": "cpu"} | settings)


@pytest.fixture(scope="module")
def everything(psmt_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    out = tmp_path_factory.mktemp("everything")
    (out / "notes.txt").write_text("mine")
    remarks = make_all(opened(psmt_run), out, n_pixels=25, images=1, eps=4.0, sweep=(2.0,), seed=3, jobs=1)
    return out, remarks


def test_the_parts_of_a_split_are_scored_apart(psmt_run: Path) -> None:
    """The pixels of both parts are those of the training images, each counted once."""
    subject = opened(psmt_run)
    split = subject.data.split("1_2")
    found = {part: subject.score(part) for part in ("labeled", "unlabeled")}
    assert {part: (each.asked["part"], each.used["images"]) for part, each in found.items()} == {
        "labeled": ("labeled", len(split.labeled)),
        "unlabeled": ("unlabeled", len(split.unlabeled)),
    }
    together = evaluate(subject.networks, subject.data, part="train").confusion
    for role, matrix in together.items():
        np.testing.assert_array_equal(sum(each.confusion[role] for each in found.values()), matrix)
    assert found["labeled"].miou != found["unlabeled"].miou


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


def test_the_exhibits_answer_to_the_parameters(everything: tuple[Path, list[str]]) -> None:
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
    assert [line for line in remarks if line.startswith("Median move")] == remarks[3:-1]
    assert remarks[-1].startswith("t-SNE: ")
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
        assert facts["exhibit"] == stem
        assert {"used", "measured", "psmt-viz"} <= facts.keys()


def test_the_table_is_that_of_the_evaluation(everything: tuple[Path, list[str]]) -> None:
    scores = Evaluation.load(everything[0]).table().set_index("role")["miou"]
    row = pd.read_csv(everything[0] / "table1.csv").iloc[0]
    columns = {"ensemble": "ensemble", "single_teacher": "teacher1", "teacher2": "teacher2", "student": "student"}
    for column, role in columns.items():
        assert row[column] == pytest.approx(100 * scores[role], abs=0.0051)
    assert (row["run"], row["dataset"], row["split"]) == ("psmt", "blocks", "1_2")


def test_a_remark_on_time() -> None:
    *_, last = tsne_remarks(replace(synthetic.embedding(20), seconds={"sampling": 12.4, "layout": 30.3}))
    assert last == "t-SNE: 43 s, of which sampling 12 s and openTSNE 30 s"


# Opening a run.


def test_the_data_are_those_of_the_run_unless_given(psmt_run: Path, blocks_folder: Path, tmp_path: Path) -> None:
    subject = opened(psmt_run)
    assert isinstance(subject.data, VocFolder)
    assert subject.data.root == blocks_folder
    other = Path(shutil.copytree(blocks_folder, tmp_path / "other"))
    assert opened(psmt_run, data=str(other)).facts["dataset"] == "other"


def test_classes_that_the_run_kept_are_kept_in_other_data_too(
    psmt_run: Path, blocks_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(psmt_run, tmp_path / "run"))
    facts = json.loads((folder / "config.json").read_text())
    names = facts["classes"]
    facts["config"]["data"]["classes"] = names
    (folder / "config.json").write_text(json.dumps(facts))
    other = Path(shutil.copytree(blocks_folder, tmp_path / "other"))
    # The same classes under other ids: the names decide, not the numbers.
    (other / "classes.txt").write_text("\n".join(reversed(names)) + "\n")
    assert opened(folder, data=str(other)).data.classes == tuple(names)
    with pytest.raises(UserError, match=r"run's classes background, red, .*, got white, yellow"):
        opened(psmt_run, data=str(other))


def test_best_and_last_weights(psmt_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(psmt_run, tmp_path / "run"))
    last = opened(folder).networks
    changed = opened(folder).networks
    with torch.no_grad():
        changed.student.classifier.bias += 1
    changed.save(folder / "best.safetensors")
    best = opened(folder, weights="best").networks
    assert torch.equal(best.student.classifier.bias, last.student.classifier.bias + 1)
    assert not any(module.training for module in best.modules())


def test_lists_of_a_configuration_reach_the_data(blocks_folder: Path, tmp_path: Path) -> None:
    for name, ids in {"a": ["train00"], "b": ["train01", "train02"], "c": ["val03"]}.items():
        (tmp_path / name).write_text("\n".join(ids) + "\n")
    paths = {
        "labeled_list": str(tmp_path / "a"),
        "unlabeled_list": str(tmp_path / "b"),
        "val_list": str(tmp_path / "c"),
    }
    data = open_config_data(DataConfig(data=str(blocks_folder), classes=("white", "red"), **paths))
    assert data.classes == ("white", "red")
    assert data.split("1_8").labeled == ("train00",)
    assert data.split("1_8").unlabeled == ("train01", "train02")
    assert data.ids("val") == ("val03",)
    assert isinstance(open_config_data(DataConfig()), Scenes)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    here: dict[str, int] = {"cuda": 0, "mps": 0}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: here["cuda"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here["cuda"] > 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: here["mps"] > 0)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    for name in ("cuda", "mps", "cuda:0", "gpu", "", "cp", "cpu:x"):
        with pytest.raises(UserError, match=f"--device among auto, cpu, got {name!r}"):
            resolve_device(name)
    here["mps"] = 1
    assert resolve_device("auto") == resolve_device("mps") == "mps"
    here["cuda"] = 2
    assert resolve_device("auto") == resolve_device("cuda") == "cuda"
    assert resolve_device("cuda:1") == "cuda:1"
    assert resolve_device("cpu") == "cpu"
    for name in ("cuda:2", "cuda:x", "tpu"):
        with pytest.raises(UserError, match=f"--device among auto, cpu, cuda.*, mps, got {name!r}"):
            resolve_device(name)


# Drawing from runs.


def test_the_ramp_up_is_that_of_the_first_run_that_has_one(
    psmt_run: Path, supervised_run: Path, tmp_path: Path
) -> None:
    psmt, supervised = (Run.open(folder).curves() for folder in (psmt_run, supervised_run))
    _, paths = make_curves([supervised, psmt], tmp_path)
    named = {path.name.partition(".")[0] for path in paths}
    assert named == {"curves", "fig3a_rampup", "fig3b_miou", "teachers"}
    with Image.open(tmp_path / "fig3a_rampup.png") as image:
        facts = json.loads(image.text["Description"])
    assert (facts["run"], facts["kind"], facts["length"], facts["final_weight"]) == ("psmt", "gaussian", 20, 1.5)
    with Image.open(tmp_path / "fig3b_miou.png") as image:
        assert json.loads(image.text["Description"])["runs"] == ["supervised", "psmt"]
    _, paths = make_curves([supervised], tmp_path)
    assert {path.name.partition(".")[0] for path in paths} == {"curves", "fig3b_miou"}


def test_table_names_each_run(psmt_run: Path, tmp_path: Path) -> None:
    scores = Evaluation.load(psmt_run)
    make_table([("one", scores), ("two", scores)], tmp_path)
    table = pd.read_csv(tmp_path / "table1.csv")
    assert table["run"].tolist()[:2] == ["one", "two"]
    assert (table["source"] == "this run").all()


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ((1, False, False), {"results.png", "batch.png"}),
        ((2, False, False), {"results.png"}),
        ((2, False, True), {"results.png", "confusion.png"}),
        ((3, True, True), {"results.png", "batch.png", "confusion.png"}),
    ],
)
def test_pictures_of_a_run(psmt_run: Path, tmp_path: Path, when: tuple[int, bool, bool], expected: set[str]) -> None:
    epoch, finished, scored = when
    curves = Run.open(psmt_run).curves()
    rows = pd.concat([curves.metrics] * 3).head(epoch)
    looked = []

    def batch() -> TrainingBatch:
        looked.append(epoch)
        columns = {
            "weak view": np.zeros((2, 8, 8, 3), np.uint8),
            "truth or pseudo-label": np.zeros((2, 8, 8), np.uint8),
        }
        return TrainingBatch(classes=("a", "b"), columns=columns)

    report = exhibits.EpochReport(
        run=SimpleNamespace(folder=tmp_path, name="run"),  # type: ignore[arg-type]
        curves=type(curves)(name="run", metrics=rows, ramp=curves.ramp),
        evaluation=Evaluation.load(psmt_run) if scored else None,
        batch=batch,
        finished=finished,
    )
    exhibits.draw_run(report)
    assert {path.name for path in tmp_path.iterdir()} == expected
    assert bool(looked) == ("batch.png" in expected)  # a batch costs a step's time: only looked at when drawn
