"""A checkpoint of UniMatch from the command line: in, and looked at as a student alone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from psmt_viz.cli import main
from psmt_viz.config import ModelConfig
from psmt_viz.models.build import build
from psmt_viz.models.inference import as_images
from tests.authors import filled
from tests.unimatch import save, shapes


@torch.no_grad()
def fitted(data: Any) -> dict[str, torch.Tensor]:
    """A state with random weights whose classifier is the least-squares one, so that it finds some of every class."""
    state = filled(shapes(classes=len(data.classes)), 1)
    network = build(ModelConfig(arch="unimatch-deeplabv3plus", backbone="resnet50s", pretrained=False), 6).eval()
    own = {key.replace("backbone.", "backbone.body.", 1): values for key, values in state.items()}
    network.load_state_dict(network.state_dict() | own)
    inputs, targets = [], []
    for id in data.ids("train")[:10]:
        images, label = as_images([data.image(id)]), torch.from_numpy(data.label(id)).long()
        features = network.layers()["decoder"](network.encode(images))
        features = F.interpolate(features, size=label.shape, mode="bilinear", align_corners=True)
        known = label != 255
        inputs.append(features[0, :, known].T.double())
        targets.append(F.one_hot(label[known], len(data.classes)).double())
    x, y = torch.cat(inputs), torch.cat(targets)
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    solution = torch.linalg.solve(x.T @ x + 1e-3 * len(x) * torch.eye(x.shape[1]), x.T @ y).float()
    classifier = {"classifier.weight": 10 * solution[:-1].T[:, :, None, None], "classifier.bias": 10 * solution[-1]}
    return state | classifier


@pytest.fixture(scope="module")
def imported(blocks: Any, blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The run made of a file, and what was printed."""
    folder = tmp_path_factory.mktemp("unimatch")
    path = save(folder / "unimatch.pth", fitted(blocks))
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        status = main(["import", str(path), "--data", str(blocks_folder), "--out", str(folder / "run")])
    assert status == 0, lines
    yield folder / "run", "\n".join(lines)
    shutil.rmtree(folder)  # half a gigabyte


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works in an empty folder."""
    monkeypatch.chdir(tmp_path)


def test_import_says_what_it_found(imported: tuple[Path, str]) -> None:
    folder, told = imported
    classes = "background, red, green, blue, yellow, white"
    assert told == f"UniMatch's resnet50s, 6 classes: {classes}; epoch 79, previous_best 75.25\nresults: {folder}"
    facts = json.loads((folder / "config.json").read_text())
    assert facts["imported_from"] == {"codebase": "UniMatch", "method": "unimatch", "teachers": []}


def test_it_is_evaluated_under_its_own_name(imported: tuple[Path, str], tmp_path: Path) -> None:
    assert main(["evaluate", str(imported[0]), "--out", str(tmp_path)]) == 0
    table = pd.read_csv(tmp_path / "evaluation.csv")
    assert list(table["role"]) == ["student"]
    assert table["pixel_accuracy"].item() > 0.4
    assert '"method": "unimatch"' in (tmp_path / "evaluation.json").read_text()
    assert main(["table", str(imported[0]), "--out", str(tmp_path)]) == 0
    row = pd.read_csv(tmp_path / "table1.csv").iloc[0]
    assert row["student"] == round(100 * table["miou"].item(), 2)
    assert pd.isna(row["ensemble"])
    assert "supervised" not in (tmp_path / "table1.md").read_text()


def test_it_is_perturbed_by_what_a_student_can_make(
    imported: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["perturb", str(imported[0]), "--images", "1", "--eps", "2", "--out", str(tmp_path)]) == 0
    flips = pd.read_csv(tmp_path / "flips.csv")
    assert {"vat", "pgd", "random"} <= set(flips["kind"])
    assert set(flips["judge"]) == {"student"}
    assert re.search("skipped, because they need teachers: tvat, ", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["export", "RUN", "--out", "x.pth"],
            "--arch psmt-deeplabv3plus --method psmt, got unimatch-deeplabv3plus, unimatch",
        ),
        (["curves", "RUN", "--out", "."], r"metrics\.csv, got nothing there; .*an imported one has none"),
        (["train", "--out", "RUN", "--resume"], "a run that was trained here in .*, got imported weights"),
    ],
)
def test_what_it_cannot_be_asked_for(
    imported: tuple[Path, str], elsewhere: None, capsys: pytest.CaptureFixture[str], arguments: Any, words: str
) -> None:
    assert main([str(imported[0]) if word == "RUN" else word for word in arguments]) == 2
    assert re.fullmatch(rf"error: expected .*{words}.*\n", capsys.readouterr().err)


def test_its_pixels_are_mapped_without_teachers(imported: tuple[Path, str], tmp_path: Path) -> None:
    command = ["tsne", str(imported[0]), "--n-pixels", "20", "--perplexity", "3", "--layer", "decoder"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    pixels = pd.read_parquet(tmp_path / "pixels.parquet")
    assert len(pixels) == 20
    assert {"pred_clean", "pred_vat"} <= set(pixels.columns)
    assert "pred_tvat" not in pixels.columns
    assert (tmp_path / "fig2_tsne.png").exists()


def test_its_evidence_is_mapped_without_teachers(imported: tuple[Path, str], tmp_path: Path) -> None:
    assert main(["gradcam", str(imported[0]), "--images", "1", "--layer", "fuse.3", "--out", str(tmp_path)]) == 0
    assert len(pd.read_csv(tmp_path / "gradcam.csv")) == 1
    assert (tmp_path / "fig1_gradcam.png").exists()
