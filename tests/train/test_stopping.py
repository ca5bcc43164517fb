import os
import signal
import threading

import pandas as pd
import pytest
import torch

from psmt_viz.train import loop
from psmt_viz.train.history import History
from psmt_viz.train.session import train
from psmt_viz.train.stopping import Stopped, StopRequest
from psmt_viz.train.trainer import Trainer
from tests.train.run_folders import asking, contents, during_step, lasting

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def ask(number):
    os.kill(os.getpid(), number)


def kept(folder):
    return torch.load(folder / "state.pt", weights_only=True)


def weights(folder):
    names = ("last.safetensors", "best.safetensors", "metrics.csv", "evaluation.csv")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "run"
    made.mkdir()
    return made


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_request_is_noted_and_handlers_come_back(number):
    before = [signal.getsignal(each) for each in SIGNALS]
    with StopRequest() as stop:
        assert stop.number is None
        ask(number)
        assert stop.number == number
        assert stop.stopped().number == number
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_second_ctrl_c_stops_at_once():
    with pytest.raises(KeyboardInterrupt) as stop, StopRequest():
        ask(signal.SIGTERM)
        ask(signal.SIGINT)
    assert not isinstance(stop.value, Stopped)


@pytest.mark.parametrize("number", SIGNALS)
def test_work_that_can_be_done_again_is_left_at_once(number):
    done = []
    with StopRequest() as stop:
        with pytest.raises(Stopped) as raised, stop.at_once():
            ask(number)
            done.append("never")
        assert raised.value.number == number
        with pytest.raises(Stopped), stop.at_once():  # asked before it begins
            done.append("never")
    assert done == []


def test_another_thread_than_the_main_one_changes_no_handler():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with StopRequest():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


# In the first epoch, at an epoch's end, inside the third.
@pytest.mark.parametrize("moment", [(number, step) for number in SIGNALS for step in (0, 3, 4)])
def test_stopped_in_a_step_and_resumed(tiny, scenes, finished, folder, moment):
    honest, (number, step) = Trainer.steps, moment

    def stopping(self, first, last):
        for index, log in enumerate(honest(self, first, last), start=first):
            if index == step:
                ask(number)
            yield log

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "steps", stopping)
        with pytest.raises(Stopped) as stopped:
            train(tiny(), scenes, folder)
    assert stopped.value.number == number
    assert kept(folder)["step"] == step + 1
    train(tiny(), scenes, folder, resume=True)
    assert weights(folder) == weights(finished[0])


@pytest.mark.parametrize("number", SIGNALS)
def test_stopped_in_a_validation_and_resumed(tiny, scenes, finished, folder, number):
    honest, calls = loop.evaluate, []

    def stopping(*arguments, **settings):
        calls.append(None)
        if len(calls) == 2:
            ask(number)
        return honest(*arguments, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "evaluate", stopping)
        with pytest.raises(Stopped):
            train(tiny(), scenes, folder)
    state = kept(folder)
    assert (state["step"], len(state["rows"]), len(state["metrics"])) == (4, 2, 1)  # trained, not yet validated
    train(tiny(), scenes, folder, resume=True)
    assert weights(folder) == weights(finished[0])


def test_checkpoints_by_steps_and_by_minutes(tiny, scenes, folder, monkeypatch):
    honest, steps = History.save_checkpoint, []

    def spy(self):
        steps.append(self.step)
        honest(self)

    monkeypatch.setattr(History, "save_checkpoint", spy)
    values = {"warmup_steps": 5, "steps_per_epoch": 5, "epochs": 1, "method": "supervised"}
    train(tiny(**values, checkpoint_steps=2), scenes, folder)
    assert steps == [2, 4, 5, 6, 8, 10, 10]
    steps.clear()
    timed = folder.parent / "timed"
    timed.mkdir()
    train(tiny(**values, checkpoint_minutes=1e-9), scenes, timed)
    assert steps == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10]
    assert weights(timed) == weights(folder)


def test_the_last_epochs_weights_are_kept_also_after_a_resume(tiny, scenes, finished, folder):
    def stop(report):
        if len(report.curves.metrics) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(keep_last=2), scenes, folder, on_epoch=stop)
    train(tiny(keep_last=2), scenes, folder, resume=True)
    assert sorted(path.name for path in folder.glob("epoch-*")) == ["epoch-0003.safetensors", "epoch-0004.safetensors"]
    assert (folder / "epoch-0004.safetensors").read_bytes() == (folder / "last.safetensors").read_bytes()
    assert weights(folder) == weights(finished[0])


def test_tables_are_cut_to_the_checkpoint(tiny, scenes, finished, folder):
    """Killed after an epoch's tables were written, before its checkpoint: from inside the first epoch and later."""
    for epoch in (1, 3):

        def kill(report, *, epoch=epoch):
            if len(report.curves.metrics) == epoch:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(tiny(checkpoint_steps=1), scenes, folder, resume=True, on_epoch=kill)
        assert len(pd.read_csv(folder / "metrics.csv")) == epoch
        seen = []

        def look(report, *, seen=seen):
            seen.append(len(report.curves.metrics))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(tiny(checkpoint_steps=1), scenes, folder, resume=True, on_epoch=look)
        assert seen == [epoch]
    train(tiny(), scenes, folder, resume=True)
    assert weights(folder) == weights(finished[0])


def test_stopped_in_the_last_step_and_resumed(scenes, control, folder, monkeypatch):
    """The run is at its end but for the validation, which a finished run has behind it."""
    config, uninterrupted = control
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        during_step(patch, 8, asking(signal.SIGTERM))
        train(config, scenes, folder)
    assert (kept(folder)["step"], len(kept(folder)["rows"])) == (8, 2)
    train(config, scenes, folder, resume=True)
    assert lasting(folder) == lasting(uninterrupted)


def test_stopped_in_the_first_validation_and_over_and_over(scenes, control, folder, monkeypatch):
    config, uninterrupted = control
    honest = loop.evaluate
    for epoch in range(1, 5):
        left = [None] if epoch > 1 else []  # a resumed run first repeats the validation that was stopped

        def stopping(*arguments, left=left, **settings):
            if not left:
                ask(signal.SIGINT)
            left.clear()
            return honest(*arguments, **settings)

        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(loop, "evaluate", stopping)
            train(config, scenes, folder, resume=True)
        assert (kept(folder)["step"], len(kept(folder)["rows"])) == (2 * epoch, 2)
    train(config, scenes, folder, resume=True)
    assert lasting(folder) == lasting(uninterrupted)


def test_a_second_ctrl_c_leaves_a_run_at_its_last_checkpoint(scenes, control, folder, monkeypatch):
    config, uninterrupted = control
    before = [signal.getsignal(each) for each in SIGNALS]
    left = {}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as raised:
        during_step(patch, 4, lambda: (left.update(contents(folder)), asking(*2 * [signal.SIGINT])()))
        train(config, scenes, folder)
    assert not isinstance(raised.value, Stopped)
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert contents(folder) == left and kept(folder)["step"] == 2
    train(config, scenes, folder, resume=True)
    assert lasting(folder) == lasting(uninterrupted)
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_a_request_after_the_last_step_finishes_the_run(scenes, control, folder):
    config, uninterrupted = control
    train(config, scenes, folder, on_epoch=lambda report: ask(signal.SIGTERM) if report.finished else None)
    assert lasting(folder) == lasting(uninterrupted)
