"""The run that comes with the project is what its manifest says."""

import json
from pathlib import Path

import pytest

import psmt_viz
from psmt_viz.data import open_data
from psmt_viz.files import sha256
from psmt_viz.presets import configure
from psmt_viz.probes.evaluate import evaluate
from psmt_viz.results import Evaluation
from psmt_viz.runs import Run, shipped_run

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


@pytest.fixture(scope="module")
def entry() -> dict:
    return json.loads((CHECKPOINTS / "manifest.json").read_text())["scenes"]


def test_files_are_those_of_the_manifest(entry: dict) -> None:
    there = {path.name: sha256(path) for path in (CHECKPOINTS / "scenes").iterdir()}
    assert there == entry["sha256"]


def test_the_shipped_run_is_found_and_is_the_preset_as_it_is(entry: dict) -> None:
    assert shipped_run() == CHECKPOINTS / "scenes"
    run = Run.open()
    assert run.config == configure("scenes", {})
    assert run.data_fingerprint.items() >= open_data("scenes").fingerprint().items()
    assert Evaluation.load(run.folder).table().set_index("role")["miou"].to_dict() == pytest.approx(entry["val_miou"])


def test_it_scores_what_the_manifest_says(entry: dict) -> None:
    networks, data = psmt_viz.load_run(), open_data("scenes")
    ids = data.ids("val")
    scores = evaluate(networks, data, ids=ids).table().set_index("role")["miou"]
    # Sums of another machine's threads may turn single pixels.
    assert scores.to_dict() == pytest.approx(entry["val_miou"], abs=1e-3)
