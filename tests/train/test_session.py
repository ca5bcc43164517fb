import math
import shutil

import pandas as pd
import pytest
import torch

import psmt_viz
from psmt_viz.data.scenes import Scenes
from psmt_viz.errors import UserError
from psmt_viz.probes.evaluate import evaluate
from psmt_viz.results import Evaluation
from psmt_viz.train import loop, session
from psmt_viz.train.session import train

COLUMNS = [
    *("epoch", "step", "learning_rate", "unsup_weight", "loss_sup", "loss_unsup", "confident_fraction"),
    *("miou_student", "miou_teacher1", "miou_teacher2", "miou_ensemble", "pixel_accuracy_ensemble"),
]
LASTING = {
    *("config.json", "metrics.csv", "last.safetensors", "best.safetensors"),
    *("evaluation.csv", "confusion.csv", "evaluation.json"),
}
"""What a finished folder holds, byte for byte the same however the run came to its end."""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def lasting(folder):
    return {name: data for name, data in contents(folder).items() if name in LASTING}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "run"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def control(tiny, scenes, tmp_path_factory):
    """The settings and the folder of an uninterrupted supervised run; to be read only."""
    config, made = tiny(method="supervised"), tmp_path_factory.mktemp("control") / "run"
    made.mkdir()
    train(config, scenes, made)
    return config, made


def test_the_folder_holds_what_the_contract_says(finished):
    folder, _ = finished
    assert set(contents(folder)) == LASTING | {"timing.csv", "state.pt"}
    metrics = pd.read_csv(folder / "metrics.csv")
    assert list(metrics.columns) == COLUMNS
    assert metrics["epoch"].tolist() == [1, 2, 3, 4]
    assert metrics["step"].tolist() == [2, 4, 6, 8]
    timing = pd.read_csv(folder / "timing.csv")
    assert list(timing.columns) == ["epoch", "images_per_second", "seconds", "peak_memory_mb"]
    assert timing["epoch"].tolist() == [1, 2, 3, 4]
    # 2 steps of 2 + 2 images
    assert (timing["images_per_second"] * timing["seconds"]).tolist() == pytest.approx([8] * 4)


def test_the_numbers_of_an_epoch(finished):
    metrics = pd.read_csv(finished[0] / "metrics.csv")
    measured = metrics.notna()
    assert not measured.loc[0, ["loss_unsup", "confident_fraction"]].any()  # the warm-up has none
    assert measured.drop(columns=["loss_unsup", "confident_fraction"]).all(axis=None) and measured[1:].all(axis=None)
    # The last step of each epoch: one of the warm-up, then k = 1, 3, 5 of 6, the ramp ending at 4.
    assert metrics["unsup_weight"].tolist() == pytest.approx(
        [0, 1.5 * math.exp(-5 * 0.75**2), 1.5 * math.exp(-5 * 0.25**2), 1.5]
    )
    assert metrics["learning_rate"].tolist() == pytest.approx([0.02, *(0.02 * (1 - k / 6) ** 0.9 for k in (1, 3, 5))])
    assert (metrics["loss_unsup"][1:] > 0).all()
    scores = metrics[[name for name in COLUMNS if name.startswith(("miou", "pixel", "confident"))]]
    assert (((scores >= 0) & (scores <= 1)) | scores.isna()).all(axis=None)


def test_losses_are_means_over_the_epochs_steps(tiny, scenes, folder, monkeypatch):
    losses, original = [], loop.Trainer.steps

    def spy(self, first, last):
        for log in original(self, first, last):
            losses.append(float(log.loss_sup))
            yield log

    monkeypatch.setattr(loop.Trainer, "steps", spy)
    train(tiny(method="supervised", epochs=1), scenes, folder)
    found = pd.read_csv(folder / "metrics.csv")["loss_sup"].tolist()
    assert found == pytest.approx([sum(losses[:2]) / 2, sum(losses[2:]) / 2], rel=1e-6)


def test_the_callback_sees_every_epoch(finished):
    folder, reports = finished
    assert [report.finished for report in reports] == [False, False, False, True]
    assert [len(report.curves.metrics) for report in reports] == [1, 2, 3, 4]
    assert {report.run.folder for report in reports} == {folder}
    scores = [report.evaluation.table().set_index("role")["miou"]["ensemble"] for report in reports]
    assert scores == pytest.approx(pd.read_csv(folder / "metrics.csv")["miou_ensemble"].tolist(), rel=1e-12)


def test_what_is_loaded_scores_what_was_written(finished, scenes):
    folder, _ = finished
    bundle = psmt_viz.load_run(folder)
    assert not any(module.training for module in bundle.modules())
    scored = evaluate(bundle, scenes)
    written = Evaluation.load(folder)
    assert scored.confusion.keys() == written.confusion.keys()
    for role, matrix in scored.confusion.items():
        assert (matrix == written.confusion[role]).all()
    last = pd.read_csv(folder / "metrics.csv").iloc[-1]
    for row in scored.table().itertuples():
        assert row.miou == pytest.approx(last[f"miou_{row.role}"], rel=1e-12)
    assert written.parameters["run"] == "run"


def test_equal_seeds_give_equal_files_and_others_do_not(tiny, scenes, finished, folder, tmp_path):
    torch.manual_seed(123)
    train(tiny(), Scenes(train=16, val=4, size=64), folder, resume=True)  # nothing there yet: starts at step 0
    assert lasting(folder) == lasting(finished[0])
    assert set(lasting(folder)) == LASTING
    other = tmp_path / "other"
    other.mkdir()
    train(tiny(seed=1, epochs=1), scenes, other)
    for name in ("metrics.csv", "last.safetensors"):
        assert contents(other)[name] != contents(folder)[name]


def test_best_is_the_last_of_the_best_epoch(tiny, scenes, folder):
    lasts = []
    train(tiny(lr=0.1), scenes, folder, on_epoch=lambda _: lasts.append((folder / "last.safetensors").read_bytes()))
    scores = pd.read_csv(folder / "metrics.csv")["miou_ensemble"]
    assert scores.nunique() > 1
    assert (folder / "best.safetensors").read_bytes() == lasts[int(scores.idxmax())]
    assert (folder / "last.safetensors").read_bytes() == lasts[-1]
    assert len(set(lasts)) == 4


def interrupt(report):
    torch.manual_seed(len(report.curves.metrics))  # whatever the caller's generator is at
    raise KeyboardInterrupt


def test_interrupted_after_every_epoch_and_resumed(tiny, scenes, finished, folder):
    for stop in range(1, 5):

        def interrupt_in_the_second(report, *, stop=stop):
            # An epoch counts once its pictures are drawn, so stopping there repeats it.
            if len(report.curves.metrics) > min(stop, 3):
                interrupt(report)

        with pytest.raises(KeyboardInterrupt):
            train(tiny(), scenes, folder, resume=stop > 1, on_epoch=interrupt_in_the_second)
        assert torch.load(folder / "state.pt", weights_only=True)["epoch"] == min(stop, 3)
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


class Breaking:
    """Calls a function, and stops the program before the n-th call."""

    def __init__(self, function, n):
        self.function, self.left = function, n

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.function(*args, **kwargs)


@pytest.mark.parametrize(
    "stop",
    [
        (session, "save_state", 1),  # everything of epoch 1 written but the checkpoint
        (session, "save_state", 3),
        (session, "write_csv", 6),  # between metrics.csv and timing.csv
        (session, "evaluate", 2),
        (loop, "labeled_cross_entropy", 6),  # in the middle of an epoch
        (session, "Run", 1),  # before the folder holds anything
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
    monkeypatch.setattr(loop.Trainer, "steps", None)  # no step may be taken
    run = train(tiny(), scenes, folder, resume=True, on_epoch=interrupt)
    assert contents(folder) == before
    assert run.folder == folder


def test_folders_that_hold_another_run(tiny, scenes, finished, folder):
    shutil.copytree(finished[0], folder, dirs_exist_ok=True)
    before = contents(folder)
    with pytest.raises(UserError, match=r"no run in .*run, got one that was started before; give --resume .*--out"):
        train(tiny(), scenes, folder)
    for config, data in (
        (tiny(eps=3.0), scenes),
        (tiny(epochs=4), scenes),
        (tiny(), Scenes(train=16, val=4, size=64, seed=1)),
    ):
        with pytest.raises(UserError, match=r"the settings and data that .*run was started with, got others; repeat"):
            train(config, data, folder, resume=True)
    assert contents(folder) == before


def test_a_loss_that_stops_being_finite_keeps_the_last_checkpoint(tiny, scenes, folder, monkeypatch):
    honest, calls, kept = loop.labeled_cross_entropy, [], []

    def turning(logits, label):
        calls.append(None)
        return honest(logits, label) * (1 if len(calls) <= 4 else math.nan)

    monkeypatch.setattr(loop, "labeled_cross_entropy", turning)
    with pytest.raises(UserError, match=r"finite loss, got nan in epoch 3; lower --lr; .* is kept"):
        train(tiny(method="supervised"), scenes, folder, on_epoch=lambda _: kept.append(contents(folder)))
    assert len(kept) == 2
    left = contents(folder)
    assert left.keys() == kept[-1].keys()
    assert {name for name in left if left[name] != kept[-1][name]} == {"state.pt"}  # written after the callback
    state = torch.load(folder / "state.pt", weights_only=True)
    assert state["epoch"] == 2
    assert all(torch.isfinite(values).all() for values in state["networks"].values())


@pytest.mark.parametrize(
    ("values", "epochs"),
    [
        ({"lr": 1e20}, 0),  # in the warm-up
        ({"lr": 1e20, "method": "supervised"}, 0),
        ({"lr": 1e6}, 1),  # after it
        ({"lr": 1e3}, 1),
    ],
)
def test_a_rate_that_is_too_high_is_named(tiny, scenes, folder, values, epochs):
    kept = []
    with pytest.raises(UserError, match="lower --lr"):
        train(tiny(**values), scenes, folder, on_epoch=lambda _: kept.append(contents(folder)))
    assert len(kept) == epochs
    left = contents(folder)
    assert ("state.pt" in left) == bool(epochs)
    left.pop("state.pt", None)  # written after the callback
    assert left == (kept[-1] if kept else {"config.json": (folder / "config.json").read_bytes()})


def test_the_control_leaves_the_teachers_columns_empty(control):
    _, folder = control
    metrics = pd.read_csv(folder / "metrics.csv")
    assert list(metrics.columns) == COLUMNS
    empty = {"miou_teacher1", "miou_teacher2", "miou_ensemble", "pixel_accuracy_ensemble"}
    empty |= {"loss_unsup", "confident_fraction"}
    assert set(metrics.columns[metrics.isna().all()]) == empty
    assert not metrics[sorted(set(COLUMNS) - empty)].isna().any(axis=None)
    assert psmt_viz.load_run(folder).roles == ("student",)
    assert list(pd.read_csv(folder / "evaluation.csv")["role"]) == ["student"]


@pytest.mark.parametrize(("every", "validated"), [(2, [2, 4]), (3, [3, 4]), (9, [4])])
def test_validation_comes_as_often_as_asked_and_at_the_end(tiny, scenes, folder, every, validated):
    reports = []
    train(tiny(method="supervised", val_every=every), scenes, folder, on_epoch=reports.append)
    metrics = pd.read_csv(folder / "metrics.csv")
    assert metrics["epoch"][metrics["miou_student"].notna()].tolist() == validated
    assert [i for i, report in enumerate(reports, start=1) if report.evaluation is not None] == validated
    assert (folder / "best.safetensors").is_file()
