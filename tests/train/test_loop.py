import contextlib
from typing import ClassVar

import pandas as pd
import pytest

from psmt_viz.train import loop
from psmt_viz.train.session import train
from tests.train.by_hand import spied
from tests.train.run_folders import during_step, failing


@pytest.mark.parametrize(("every", "validated"), [(2, [2, 4]), (3, [3, 4]), (9, [4])])
def test_validation_comes_as_often_as_asked_and_at_the_end(tiny, scenes, folder, every, validated):
    reports = []
    train(tiny(method="supervised", val_every=every), scenes, folder, on_epoch=reports.append)
    metrics = pd.read_csv(folder / "metrics.csv")
    assert metrics["epoch"][metrics["miou_student"].notna()].tolist() == validated
    assert [i for i, report in enumerate(reports, start=1) if report.evaluation is not None] == validated
    assert (folder / "best.safetensors").is_file()


def test_the_window_of_validation_is_the_settings(tiny, scenes, folder, monkeypatch):
    given = spied(monkeypatch, loop, "evaluate")
    train(tiny(method="supervised", epochs=1, warmup_epochs=0, window=48, window_stride=0.5), scenes, folder)
    ((asked, _),) = given
    assert (asked["window"], asked["window_stride"], asked["ids"]) == (48, 0.5, scenes.ids("val"))


class Recorder:
    """A tracker that keeps what it is told."""

    made: ClassVar[list["Recorder"]] = []

    def __init__(self, folder):
        self.folder, self.told, self.closed = folder, [], 0
        self.made.append(self)

    def scalars(self, step, values):
        self.told.append((step, dict(values)))

    def images(self, step, batch):
        self.told.append((step, batch))

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("stopped", [False, True])
def test_a_tracker_hears_of_steps_and_epochs_and_is_closed(tiny, scenes, folder, monkeypatch, stopped):
    monkeypatch.setattr(Recorder, "made", [])
    if stopped:
        during_step(monkeypatch, 6, failing(KeyboardInterrupt()))
    config = tiny(warmup_steps=3, steps_per_epoch=3, epochs=2, log_every=2)
    with pytest.raises(KeyboardInterrupt) if stopped else contextlib.nullcontext():
        train(config, scenes, folder, trackers=[f"{__name__}:Recorder"])
    (tracker,) = Recorder.made
    assert (tracker.folder, tracker.closed) == (folder, 1)
    steps = [(step, type(values).__name__) for step, values in tracker.told]
    scalars, images = "dict", "TrainingBatch"
    every = [*((2, scalars), (3, scalars), (3, images), (4, scalars), (6, scalars))]
    every += [(6, scalars), (6, images), (8, scalars), (9, scalars), (9, images)]
    assert steps == (every[:4] if stopped else every)
    metrics = pd.read_csv(folder / "metrics.csv").set_index("step")
    first = {"loss_sup", "unsup_weight", "learning_rate"}
    assert tracker.told[0][1].keys() == first  # what a warm-up does not measure is left out
    assert tracker.told[3][1].keys() == first | {"loss_unsup", "confident_fraction", "teacher_disagreement"}
    rows = [(step, told) for step, told in tracker.told if isinstance(told, dict) and "epoch" in told]
    assert [step for step, _ in rows] == ([3] if stopped else [3, 6, 9])
    for step, row in rows:
        assert row == pytest.approx(metrics.loc[step].dropna().to_dict() | {"step": step}, rel=1e-12)
