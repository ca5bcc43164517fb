import dataclasses
import json
import warnings

import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.results import write_csv
from psmt_viz.runs import METHOD_VERSION, Run, RunFile, epoch_name, is_run, unfinished, versions
from tests.run_folders import run_in


@pytest.fixture
def run(tmp_path):
    return run_in(tmp_path / "mine")


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
        "method_version": METHOD_VERSION,
        "backbone": "test_resnet",
    }


def test_a_run_of_before_opens_and_says_which_version_of_the_method_trained_it(run):
    run.write()
    path = run.folder / "config.json"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Run.open(run.folder).method_version == METHOD_VERSION
    facts = json.loads(path.read_text())
    del facts["method_version"]
    for name in ("warmup_steps", "images_per_gpu", "drop_last", "loss_mean", "best_by"):
        del facts["config"]["method"][name]
    del facts["config"]["views"]["base_size"]
    path.write_text(json.dumps(facts))
    with pytest.warns(UserWarning, match=r"was trained with version 1 of the method, not 2; the manual"):
        old = Run.open(run.folder)
    assert old.facts("scenes")["method_version"] == 1


def test_curves_hold_the_ramp_after_the_warm_up(run):
    frame = pd.DataFrame({"epoch": [1, 2], "miou_student": [0.1, 1 / 3]})
    write_csv(run.folder / "metrics.csv", frame)
    curves = run.curves()
    pd.testing.assert_frame_equal(curves.metrics, frame, check_exact=True)
    assert curves.ramp == {"kind": "gaussian", "length": 15, "final_weight": 0.7, "total_steps": 50}
    assert (curves.name, run.curves("an experiment").name) == ("mine", "an experiment")
    control = Run(**{**vars(run), "config": run.config.replace({"method": "supervised"})})
    assert control.curves().ramp == {}


def test_curves_tell_the_images_of_a_step(run):
    write_csv(run.folder / "metrics.csv", pd.DataFrame({"epoch": [1], "step": [5]}))
    settings = {"batch_labeled": 3, "batch_unlabeled": 5}
    for method, expected in (("psmt", 8), ("supervised", 3)):
        other = Run(**{**vars(run), "config": run.config.replace({**settings, "method": method})})
        assert other.curves().images_per_step == expected


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


def test_a_run_folder_is_known_by_its_configuration(run, tmp_path):
    assert is_run(run.folder) and not is_run(tmp_path) and not is_run(tmp_path / "nowhere")


def test_what_is_left_half_written_is_found_for_every_file_of_a_run(run):
    names = [*RunFile, "epoch-0012.safetensors"]
    left = {f".{name.rpartition('.')[0]}-abc_1234.{name.rpartition('.')[2]}" for name in names}
    others = {".mine-abcdefgh.csv", ".state-abc.pt", "state-abcdefgh.pt", ".metrics-abcdefgh.png", *names}
    for name in left | others:
        (run.folder / name).write_text("")
    assert {path.name for path in unfinished(run.folder)} == left and len(left) == len(names)


def test_the_control_of_a_version_that_planned_a_ramp_up_has_none(run):
    control = dataclasses.replace(run, config=run.config.replace({"method": "supervised"}))
    control.write()
    assert Run.open(run.folder).plan == {**control.plan, "ramp_steps": 0}


def test_the_kept_weights_of_epochs_come_oldest_first(run):
    for epoch in (12, 3):
        run.weights_path(epoch_name(epoch)).write_text("")
    assert [path.name for path in run.epoch_weights()] == ["epoch-0003.safetensors", "epoch-0012.safetensors"]
