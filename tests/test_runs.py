import json

import pandas as pd
import pytest

from psmt_viz.config import configure
from psmt_viz.errors import UserError
from psmt_viz.results import write_csv
from psmt_viz.runs import Run, versions

PLAN = {"steps_per_epoch": 5, "warmup_steps": 10, "ramp_steps": 15, "total_steps": 60, "parts": 1}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    made = Run(
        folder=folder,
        config=configure("scenes", {"epochs": 3, "split": "1_4", "unsup_weight": 0.7}),
        classes=("ground", "tree"),
        plan=PLAN,
        data_fingerprint={"train": 3, "sha256": "00"},
        versions=versions(),
    )
    made.write()
    return made


def test_what_is_written_is_read_back(run):
    assert Run.open(run.folder) == run
    assert json.loads((run.folder / "config.json").read_text())["config"]["method"]["epochs"] == 3
    assert run.name == "mine"


def test_the_name_does_not_depend_on_how_the_folder_is_given(run, monkeypatch):
    monkeypatch.chdir(run.folder)
    assert Run.open(run.folder / "." / ".." / "mine").name == "mine"
    assert Run.open(type(run.folder)(".")).name == "mine"


def test_versions_are_those_of_the_imported_libraries():
    import numpy
    import torch

    found = versions()
    assert (found["torch"], found["numpy"]) == (torch.__version__.split("+")[0], numpy.__version__)
    assert set(found) == {"psmt-viz", "python", "torch", "torchvision", "timm", "numpy"}


def test_facts_for_a_table(run):
    assert run.facts("scenes") == {
        "run": "mine",
        "dataset": "scenes",
        "split": "1_4",
        "method": "psmt",
        "backbone": "test_resnet",
    }


def test_curves_hold_the_ramp_after_the_warm_up(run):
    frame = pd.DataFrame({"epoch": [1, 2], "miou_student": [0.1, 1 / 3]})
    write_csv(run.folder / "metrics.csv", frame)
    curves = run.curves()
    pd.testing.assert_frame_equal(curves.metrics, frame, check_exact=True)
    assert curves.ramp == {"kind": "gaussian", "length": 15, "final_weight": 0.7, "total_steps": 50}
    control = Run(**{**vars(run), "config": run.config.replace({"method": "supervised"})})
    assert control.curves().ramp == {}


def test_missing_runs_weights_and_metrics(run, tmp_path):
    with pytest.raises(UserError, match=r"a run folder .*nowhere, got no such folder; give a folder that psmt-viz"):
        Run.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"a run folder .*, got no config\.json in it"):
        Run.open(tmp_path)
    with pytest.raises(UserError, match=r"weights .*last\.safetensors, got no weights; train the run"):
        run.weights()
    (run.folder / "last.safetensors").touch()
    assert run.weights("last") == run.folder / "last.safetensors"
    with pytest.raises(UserError, match=r"weights .*best\.safetensors, got last\.safetensors"):
        run.weights("best")
    assert not run.measured
    with pytest.raises(UserError, match=r"measurements .*metrics\.csv, got nothing there; .*imported"):
        run.metrics()


def rewritten(run, change):
    path = run.folder / "config.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(change(facts)))


@pytest.mark.parametrize("entry", ["config", "classes", "plan", "data_fingerprint", "versions"])
def test_a_fact_is_missing(run, entry):
    rewritten(run, lambda facts: {key: value for key, value in facts.items() if key != entry})
    with pytest.raises(UserError, match=rf"a run's facts in .*config\.json, got KeyError\('{entry}'\)"):
        Run.open(run.folder)


@pytest.mark.parametrize("facts", [[], None, 3, {"config": 3}, {"config": {"data": None}}])
def test_facts_of_another_kind(run, facts):
    rewritten(run, lambda _: facts)
    with pytest.raises(UserError, match=r"a run's facts in .*config\.json|a configuration of psmt-viz"):
        Run.open(run.folder)


def test_half_a_file_and_a_wrong_setting(run):
    rewritten(run, lambda facts: {**facts, "config": {"method": {"epohcs": 3}}})
    with pytest.raises(UserError, match=r"got epohcs; did you mean epochs\?"):
        Run.open(run.folder)
    text = (run.folder / "config.json").read_text()
    (run.folder / "config.json").write_text(text[: len(text) // 2])
    with pytest.raises(UserError, match=r"JSON in .*config\.json"):
        Run.open(run.folder)
