import signal
import types

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from psmt_viz.data.scenes import Scenes
from psmt_viz.errors import UserError
from psmt_viz.train import history, loop, method, session
from psmt_viz.train.checkpoint import save_state
from psmt_viz.train.history import History
from psmt_viz.train.methods import psmt
from psmt_viz.train.session import train
from psmt_viz.train.stopping import Stopped
from psmt_viz.train.trainer import Trainer
from psmt_viz.train.waiting import Waiting
from tests.train.run_folders import COLUMNS, asking, contents, during_step, failing, lasting, rows, state

FIVE = {"method": "supervised", "steps_per_epoch": 5, "epochs": 2, "warmup_epochs": 0}


def checkpoints(patch):
    """Returns a list that fills with the step and the finished epochs of each checkpoint."""
    seen, original = [], history.save_state

    def save(folder, values):
        seen.append((values["step"], len(values["metrics"])))
        original(folder, values)

    patch.setattr(history, "save_state", save)
    return seen


def planned(every):
    """Checkpoints of 2 epochs of 5 steps: every so many steps of the run, and after each epoch."""
    found = []
    for step in range(1, 11):
        if every is not None and step % every == 0:
            found.append((step, (step - 1) // 5))
        if step % 5 == 0:
            found.append((step, step // 5))
    return found


@pytest.mark.parametrize("every", [None, 1, 2, 5, 7, 50])
def test_checkpoints_come_every_so_many_steps_and_after_each_epoch(tiny, scenes, folder, monkeypatch, every):
    seen = checkpoints(monkeypatch)
    train(tiny(**FIVE, checkpoint_steps=every), scenes, folder)
    assert seen == planned(every)


def test_checkpoints_come_after_so_many_minutes(tiny, scenes, folder, monkeypatch):
    clock, seen = [1000.0], checkpoints(monkeypatch)
    fake = types.SimpleNamespace(monotonic=lambda: clock[0], perf_counter=lambda: clock[0])
    monkeypatch.setattr(loop, "time", fake)
    original = Trainer.steps

    def steps(self, first, last):
        for log in original(self, first, last):
            clock[0] += 25
            yield log

    monkeypatch.setattr(Trainer, "steps", steps)
    train(tiny(**FIVE, checkpoint_minutes=1.0), scenes, folder)
    # 75 s after the start, and after the checkpoint that ends an epoch.
    assert seen == [(3, 0), (5, 1), (8, 1), (10, 2)]


def snapshots(folder, at_epoch):
    def note(report):
        at_epoch[len(report.curves.metrics)] = (folder / "last.safetensors").read_bytes()

    return note


@pytest.mark.parametrize(("kept", "stopped"), [(1, None), (2, None), (9, None), (1, 3), (2, 4), (2, 5), (2, 7), (9, 5)])
def test_the_last_epochs_are_kept_also_by_a_run_that_was_stopped(tiny, folder, monkeypatch, kept, stopped):
    scenes = Scenes(train=16, val=4, size=64)
    config, weights = tiny(method="supervised", keep_last=kept), {}
    if stopped is not None:
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            during_step(patch, stopped, asking(signal.SIGTERM))
            train(config, scenes, folder, on_epoch=snapshots(folder, weights))
        done = (stopped - 1) // 2
        assert kept_files(folder) == {epoch: weights[epoch] for epoch in range(1, done + 1) if epoch > done - kept}
    train(config, scenes, folder, resume=True, on_epoch=snapshots(folder, weights))
    assert sorted(weights) == [1, 2, 3, 4]
    assert kept_files(folder) == {epoch: weights[epoch] for epoch in range(1, 5) if epoch > 4 - kept}


def kept_files(folder):
    return {int(path.stem.removeprefix("epoch-")): path.read_bytes() for path in folder.glob("epoch-*.safetensors")}


def test_none_is_kept_unless_asked_for(control):
    assert kept_files(control[1]) == {}


class Look(Exception):
    """Ends a run as soon as it has been put back to its checkpoint."""


@pytest.mark.parametrize(
    "case",
    [  # Epoch whose tables are on disk, settings, step of the checkpoint, epochs that stay in the tables
        (1, {"checkpoint_steps": 1}, 2, []),  # the only checkpoints are from inside the first epoch
        (1, {}, 0, [1]),  # none at all: nothing is put back
        (2, {}, 2, [1]),
        (3, {"checkpoint_steps": 1}, 6, [1, 2]),
        (4, {}, 6, [1, 2, 3]),
    ],
)
def test_tables_are_cut_to_the_checkpoint(scenes, control, folder, monkeypatch, case):
    (config, uninterrupted), (epoch, values, step, left) = control, case

    def interrupt(report):
        if len(report.curves.metrics) == epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config.replace(values), scenes, folder, on_epoch=interrupt)
    assert rows(folder) == list(range(1, epoch + 1))
    assert (state(folder)["step"] if step else (folder / "state.pt").exists()) == step
    with monkeypatch.context() as patch, pytest.raises(Look):
        patch.setattr(session, "TrainingLoop", failing(Look()))
        train(config.replace(values), scenes, folder, resume=True)
    assert rows(folder) == left
    train(config.replace(values), scenes, folder, resume=True)
    told = lasting(folder)
    told.pop("config.json"), (expected := lasting(uninterrupted)).pop("config.json")
    assert told == expected


def test_inside_an_epoch_weights_and_tables_are_those_of_the_last(scenes, control, folder, monkeypatch):
    config, _ = control
    before = {}
    config = config.replace({"checkpoint_steps": 1})
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        during_step(patch, 5, asking(signal.SIGTERM))
        train(config, scenes, folder, on_epoch=lambda _: before.update(contents(folder)))
    after = contents(folder)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"state.pt"}
    assert len(state(folder)["rows"]) == 1 and state(folder)["step"] == 5


@pytest.mark.parametrize("log_every", [1, 2, 3])
def test_a_loss_that_is_not_finite_is_found_where_it_arose(tiny, scenes, folder, monkeypatch, log_every):
    def poison():
        monkeypatch.setattr(method, "labeled_cross_entropy", lambda logits, *_: logits.sum() * float("inf"))

    during_step(monkeypatch, 2, poison)  # so step 2, counted from 0, is the first
    with pytest.raises(UserError, match=r"finite loss, got loss_sup (nan|-?inf) at step 2; lower --lr"):
        train(tiny(**FIVE, log_every=log_every), scenes, folder)
    assert not (folder / "state.pt").exists()


BUFFERS = ("running_mean", "running_var", "num_batches_tracked", ".mean", ".std")


def distance_of_files(path):
    """Relative distance of two teachers, from their weights on disk, in float64; no buffers."""
    weights, teachers = load_file(path), []
    for role in ("teacher1", "teacher2"):
        names = [name for name in sorted(weights) if name.startswith(role) and not name.endswith(BUFFERS)]
        teachers.append(np.concatenate([weights[name].astype(np.float64).ravel() for name in names]))
    one, other = teachers
    return 2 * np.linalg.norm(one - other) / (np.linalg.norm(one) + np.linalg.norm(other))


def test_the_distance_of_the_teachers_is_that_of_each_epochs_weights(tiny, scenes, folder):
    train(tiny(keep_last=9), scenes, folder)
    found = pd.read_csv(folder / "metrics.csv")["teacher_distance"].tolist()
    expected = [distance_of_files(folder / f"epoch-{epoch:04d}.safetensors") for epoch in (1, 2, 3, 4)]
    assert found == pytest.approx(expected, rel=1e-12)
    assert found[0] > found[-1] > 0  # the warm-up draws them apart, the one student together


@pytest.mark.parametrize("stopped", [3, 4, 5, 7])
def test_a_checkpoint_of_before_the_distance_goes_on_without_it(tiny, scenes, finished, folder, stopped):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        during_step(patch, stopped, asking(signal.SIGTERM))
        train(tiny(), scenes, folder)
    before = state(folder)
    for row in before["metrics"]:
        del row["teacher_distance"]
    save_state(folder, before)
    train(tiny(), scenes, folder, resume=True)
    found, expected = (pd.read_csv(path / "metrics.csv") for path in (folder, finished[0]))
    done = len(before["metrics"])
    assert done == (stopped - 1) // 2
    assert list(found) == COLUMNS
    expected.loc[: done - 1, "teacher_distance"] = np.nan
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_the_share_of_time_that_was_spent_waiting_for_images(tiny, scenes, folder, monkeypatch):
    """2 of the 5 seconds of an epoch's steps, which `seconds` counts."""
    original, given = History.log_step, iter([0.1, 0.3, 0.5, 0.7, 0.4, *[0.2] * 5])
    monkeypatch.setattr(History, "log_step", lambda self, log, _: original(self, log, 1.0))
    monkeypatch.setattr(Waiting, "seconds", lambda _: next(given))
    train(tiny(**FIVE, log_every=1), scenes, folder)
    timing = pd.read_csv(folder / "timing.csv")
    assert timing["seconds"].tolist() == [5, 5]
    assert timing["data_wait"].tolist() == pytest.approx([0.4, 0.2])


@pytest.mark.parametrize("case", [(5, False), (8, True)])
def test_a_checkpoint_of_before_the_waiting_was_measured(tiny, scenes, folder, monkeypatch, case):
    """Epochs of before have no share, nor has one that began then; those after it have."""
    config, (stopped, unknown) = tiny(**FIVE | {"epochs": 3}, checkpoint_steps=1), case
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        during_step(patch, stopped, asking(signal.SIGTERM))
        train(config, scenes, folder)
    old = state(folder)
    del old["waited"]
    for row in old["timing"]:
        del row["data_wait"]
    save_state(folder, old)
    train(config, scenes, folder, resume=True)
    shares = pd.read_csv(folder / "timing.csv")["data_wait"]
    assert shares.isna().tolist() == [True, unknown, False]
    assert shares.dropna().between(0, 1).all()


def not_finite(monkeypatch):
    monkeypatch.setattr(psmt, "widened", lambda z: z.float() * float("nan"))


def without_gradient(monkeypatch):
    search = psmt.adversarial_perturbation
    monkeypatch.setattr(
        psmt, "adversarial_perturbation", lambda predict, z, **how: search(lambda f: 0 * predict(f), z, **how)
    )


@pytest.mark.parametrize(
    "case",
    [
        (not_finite, r"expected finite features z at step 4, got NaN or infinity; lower --lr; the last .* is kept"),
        (
            without_gradient,
            r"expected a gradient of .* to z at step 4, got a zero one; lower --lr; the last .* is kept",
        ),
    ],
)
def test_a_search_that_fails_is_told_with_its_step_and_leaves_the_files(tiny, scenes, folder, monkeypatch, case):
    kept, (spoil, words) = [], case
    during_step(monkeypatch, 4, lambda: spoil(monkeypatch))
    with pytest.raises(UserError, match=words):
        train(tiny(), scenes, folder, on_epoch=lambda _: kept.append(contents(folder)))
    assert len(kept) == 2
    left = contents(folder)
    assert {name for name in left if left[name] != kept[-1].get(name)} == {"state.pt"}  # written after the callback
    weights = [values for network in state(folder)["networks"].values() for values in network.values()]
    assert state(folder)["step"] == 4 and all(torch.isfinite(values).all() for values in weights)
