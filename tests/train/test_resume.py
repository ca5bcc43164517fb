"""A training that was stopped anywhere and resumed ends as one that was not."""

import json
import multiprocessing
import re
import shutil

import pandas as pd
import pytest
import torch

from psmt_viz.results import Evaluation
from psmt_viz.train import history, loop, method, starting
from psmt_viz.train.session import train
from psmt_viz.train.trainer import Trainer
from tests.train.run_folders import Breaking, contents, lasting, state


def interrupt(report):
    torch.manual_seed(len(report.curves.metrics))  # whatever the caller's generator is at
    raise KeyboardInterrupt


def interrupt_in_the_second(report):
    if len(report.curves.metrics) == 2:
        interrupt(report)


def test_interrupted_after_every_epoch_and_resumed(tiny, scenes, finished, folder):
    for stop in range(1, 5):

        def interrupt_after(report, *, stop=stop):
            # An epoch counts once its pictures are drawn, so stopping there repeats it.
            if len(report.curves.metrics) > min(stop, 3):
                interrupt(report)

        with pytest.raises(KeyboardInterrupt):
            train(tiny(), scenes, folder, resume=stop > 1, on_epoch=interrupt_after)
        assert (state(folder)["step"], state(folder)["rows"]) == (2 * min(stop, 3), [])
    train(tiny(), scenes, folder, resume=True)
    assert lasting(folder) == lasting(finished[0])


def test_channels_last_resumes_too_and_means_the_same(tiny, scenes, finished, folder, tmp_path):
    config = tiny(channels_last=True, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        train(config, scenes, folder, on_epoch=interrupt)
    train(config, scenes, folder, resume=True)
    straight = tmp_path / "straight" / "run"
    straight.mkdir(parents=True)
    train(config, scenes, straight)
    assert lasting(folder) == lasting(straight)
    ours, plain = (pd.read_csv(path / "metrics.csv")["loss_sup"] for path in (straight, finished[0]))
    assert ours.tolist() == pytest.approx(plain[:2].tolist(), rel=1e-3)


@pytest.mark.parametrize(
    "stop",
    [
        (history, "save_state", 1),  # everything of epoch 1 written but the checkpoint
        (history, "save_state", 3),
        (history, "write_csv", 6),  # between metrics.csv and timing.csv
        (loop, "evaluate", 2),
        (method, "labeled_cross_entropy", 6),  # in the middle of an epoch
        (starting, "Run", 1),  # before the folder holds anything
    ],
)
def test_stopped_anywhere_and_resumed(scenes, control, folder, monkeypatch, stop):
    (config, uninterrupted), (owner, name, call) = control, stop
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, Breaking(getattr(owner, name), call))
        with pytest.raises(KeyboardInterrupt):
            train(config, scenes, folder)
    train(config, scenes, folder, resume=True)
    assert lasting(folder) == lasting(uninterrupted)


def test_stopped_before_the_last_evaluation_is_written(scenes, control, folder, monkeypatch):
    config, uninterrupted = control
    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "save", Breaking(Evaluation.save, 1))
        with pytest.raises(KeyboardInterrupt):
            train(config, scenes, folder)
    train(config, scenes, folder, resume=True)
    assert lasting(folder) == lasting(uninterrupted)


def test_a_finished_run_is_left_as_it_is(tiny, scenes, finished, folder, monkeypatch):
    shutil.copytree(finished[0], folder, dirs_exist_ok=True)
    before = contents(folder)
    monkeypatch.setattr(Trainer, "steps", None)  # no step may be taken
    run = train(tiny(), scenes, folder, resume=True, on_epoch=interrupt)
    assert contents(folder) == before
    assert run.folder == folder


def test_settings_without_influence_may_change_on_the_way(scenes, control, folder):
    config, uninterrupted = control
    with pytest.raises(KeyboardInterrupt):
        train(config, scenes, folder, on_epoch=interrupt_in_the_second)
    others = {"checkpoint_steps": 1, "checkpoint_minutes": 1.0, "log_every": 1, "workers": 1}
    train(config.replace(others), scenes, folder, resume=True)
    assert lasting(folder) == lasting(uninterrupted)


def test_other_versions_are_told_and_do_not_stop_a_run(scenes, control, folder, monkeypatch):
    config, uninterrupted = control
    with pytest.raises(KeyboardInterrupt):
        train(config, scenes, folder, on_epoch=interrupt_in_the_second)
    now = starting.versions()
    monkeypatch.setattr(starting, "versions", lambda: now | {"torch": "9.9"})
    words = rf"other versions than the run began with: torch {re.escape(now['torch'])} -> 9\.9$"
    with pytest.warns(UserWarning, match=words):
        train(config, scenes, folder, resume=True)
    assert lasting(folder) == lasting(uninterrupted)


def test_what_a_killed_run_left_half_written_goes_and_nothing_else(scenes, control, folder):
    config, uninterrupted = control
    left = {
        ".state-abc123_z.pt",
        ".last-abcdefgh.safetensors",
        ".epoch-0003-abcdefgh.safetensors",
        ".metrics-a2345678.csv",
    }
    kept = {".state-abc.pt", "notes.txt", ".gitignore", "state-abcdefgh.pt", ".mine-abcdefgh.csv"}
    for name in left | kept:
        (folder / name).write_text("")
    train(config, scenes, folder)
    assert set(contents(folder)) == set(contents(uninterrupted)) | kept


@pytest.mark.parametrize("workers", [(2, 0), (0, 2)])
def test_the_number_of_workers_changes_nothing_and_none_is_left(tiny, scenes, finished, folder, workers):
    before, after = workers
    with pytest.raises(KeyboardInterrupt):
        train(tiny(workers=before), scenes, folder, on_epoch=interrupt_in_the_second)
    assert multiprocessing.active_children() == []
    train(tiny(workers=after), scenes, folder, resume=True)
    assert multiprocessing.active_children() == []
    files, straight = lasting(folder), lasting(finished[0])
    assert json.loads(files.pop("config.json"))["config"]["system"]["workers"] == before
    assert straight.pop("config.json") and files == straight
