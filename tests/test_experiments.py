import dataclasses

import pytest

from psmt_viz.experiments import experiments
from psmt_viz.runs import Run
from tests.run_folders import PLAN, run_in


@pytest.fixture
def run(tmp_path):
    return run_in(tmp_path / "mine")


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


def test_runs_of_two_versions_of_the_method_are_two_experiments(run):
    old = dataclasses.replace(run, method_version=1, folder=run.folder.parent / "other")
    assert len(experiments([run, old])) == 2
