import dataclasses
import json
import warnings

import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.presets import configure
from psmt_viz.results import write_csv
from psmt_viz.runs import METHOD_VERSION, Run, experiments, versions

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
    assert len(experiments([run, dataclasses.replace(old, folder=run.folder.parent / "other")])) == 2


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


@pytest.fixture
def placed(run, tmp_path):
    """Makes a run in a folder under another seed and with other settings."""

    def place(path, seed=0, plan=PLAN, fingerprint=None, **settings):
        facts = {"config": run.config.replace({"seed": seed, **settings}), "plan": plan}
        facts["data_fingerprint"] = fingerprint or run.data_fingerprint
        return Run(**{**vars(run), **facts, "folder": tmp_path / path})

    return place


def named(runs, tmp_path):
    return {name: [str(run.folder.relative_to(tmp_path)) for run in group] for name, group in experiments(runs).items()}


def test_runs_that_differ_in_the_seed_alone_are_one_experiment(placed, tmp_path):
    runs = [
        placed("scenes-0"),
        placed("voc-1", lr=0.5),
        placed("scenes-12", 12, keep_last=3, workers=2),  # what changes no number may differ
        placed("scenes-1", 1),
    ]
    assert named(runs, tmp_path) == {"scenes": ["scenes-0", "scenes-12", "scenes-1"], "voc-1": ["voc-1"]}
    assert experiments([]) == {}


@pytest.mark.parametrize(
    "other",
    [
        {"lr": 0.5},
        {"split": "1_2"},
        {"method": "supervised"},
        {"plan": {**PLAN, "parts": 2}},
        {"fingerprint": {"a": 1}},
    ],
)
def test_runs_that_differ_in_more_are_not(placed, tmp_path, other):
    assert named([placed("s-0"), placed("s-1", 1, **other)], tmp_path) == {"s-0": ["s-0"], "s-1": ["s-1"]}


@pytest.mark.parametrize(
    ("folders", "name"),
    [
        (["scenes", "scenes-1", "scenes-2"], "scenes"),  # as folders are numbered
        (["a-1_8-0", "a-1_8-1"], "a-1_8"),
        (["seed0", "seed10"], "seed"),
        (["one", "two"], "one, two"),
        (["0", "1"], "0, 1"),
        (["a/run", "b/run"], "a/run, b/run"),
        (["psmt/s-0", "psmt/s-1"], "s"),
    ],
)
def test_what_seeds_are_called(placed, folders, name):
    assert list(experiments([placed(folder, seed) for seed, folder in enumerate(folders)])) == [name]


def test_a_run_alone_keeps_its_name_and_equal_names_are_told_apart(placed, tmp_path):
    assert list(experiments([placed("a/scenes-0")])) == ["scenes-0"]
    runs = [placed(f"{method}/s-{seed}", seed, method=method) for method in ("psmt", "supervised") for seed in (0, 1)]
    assert list(experiments(runs)) == ["psmt/s", "supervised/s"]
    assert list(experiments([*runs[:1], runs[2]])) == ["psmt/s-0", "supervised/s-0"]
    crossed = [placed(f"s-{number}", number // 2, lr=(0.1, 0.2)[number % 2]) for number in range(4)]
    assert named(crossed, tmp_path) == {"s-0, s-2": ["s-0", "s-2"], "s-1, s-3": ["s-1", "s-3"]}
    assert list(experiments([placed("s", lr=0.3), *crossed[::2]])) == ["s", "s-0, s-2"]


def test_the_same_run_counts_once_and_a_seed_again_is_another_experiment(placed, tmp_path):
    run = placed("s-0")
    again = Run(**{**vars(run), "folder": run.folder / ".." / "s-0"})
    assert [len(group) for group in experiments([run, again, placed("s-1", 1)]).values()] == [2]
    runs = [run, placed("s-1", 1), placed("copy")]
    assert named(runs, tmp_path) == {"s": ["s-0", "s-1"], "copy": ["copy"]}


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
