import math

import pandas as pd
import pytest
import torch

import psmt_viz
from psmt_viz.data.scenes import Scenes
from psmt_viz.errors import UserError
from psmt_viz.probes.evaluate import evaluate
from psmt_viz.results import Evaluation
from psmt_viz.train import loop
from psmt_viz.train import method as training_method
from psmt_viz.train.methods import psmt
from psmt_viz.train.session import train
from psmt_viz.train.trainer import Trainer
from tests.train.run_folders import COLUMNS, LASTING, OF_TEACHERS, contents, lasting, state


def test_the_folder_holds_what_the_contract_says(finished):
    folder, _ = finished
    assert set(contents(folder)) == LASTING | {"timing.csv", "state.pt"}
    metrics = pd.read_csv(folder / "metrics.csv")
    assert list(metrics.columns) == COLUMNS
    assert metrics["epoch"].tolist() == [1, 2, 3, 4]
    assert metrics["step"].tolist() == [2, 4, 6, 8]
    timing = pd.read_csv(folder / "timing.csv")
    assert list(timing.columns) == ["epoch", "images_per_second", "seconds", "peak_memory_mb", "data_wait"]
    assert timing["epoch"].tolist() == [1, 2, 3, 4]
    # 2 steps of 2 + 2 images
    assert (timing["images_per_second"] * timing["seconds"]).tolist() == pytest.approx([8] * 4)


def test_the_numbers_of_an_epoch(finished):
    metrics = pd.read_csv(finished[0] / "metrics.csv")
    measured = metrics.notna()
    assert not measured.loc[0, OF_TEACHERS].any()  # the warm-up has none
    assert measured.drop(columns=OF_TEACHERS).all(axis=None) and measured[1:].all(axis=None)
    # The last step of each epoch: one of the warm-up, then k = 1, 3, 5 of 6, the ramp ending at 4.
    assert metrics["unsup_weight"].tolist() == pytest.approx(
        [0, 1.5 * math.exp(-5 * 0.75**2), 1.5 * math.exp(-5 * 0.25**2), 1.5]
    )
    assert metrics["learning_rate"].tolist() == pytest.approx([0.02, *(0.02 * (1 - k / 6) ** 0.9 for k in (1, 3, 5))])
    assert (metrics["loss_unsup"][1:] > 0).all()
    scores = metrics[[name for name in COLUMNS if name.startswith(("miou", "pixel", "confident", "teacher"))]]
    assert (((scores >= 0) & (scores <= 1)) | scores.isna()).all(axis=None)


MEASURED = ("loss_sup", "loss_unsup", "confident_fraction", "teacher_disagreement")


def test_measurements_are_means_over_the_epochs_steps(tiny, scenes, folder, monkeypatch):
    seen, original = [], Trainer.steps

    def spy(self, first, last):
        for log in original(self, first, last):
            measured = [log.measured[name].item() if name in log.measured else math.nan for name in MEASURED]
            seen.append([*measured, log.unsup_weight, log.learning_rate])
            yield log

    monkeypatch.setattr(Trainer, "steps", spy)
    train(tiny(epochs=2), scenes, folder)
    found = pd.read_csv(folder / "metrics.csv")
    for epoch, (first, last) in enumerate([seen[0:2], seen[2:4], seen[4:6]]):
        for place, name in enumerate(MEASURED):
            mean = (first[place] + last[place]) / 2
            assert found[name][epoch] == pytest.approx(mean, rel=1e-6, nan_ok=True), name
        assert found.loc[epoch, ["unsup_weight", "learning_rate"]].tolist() == pytest.approx(last[4:])
    assert not found.loc[1:, "teacher_disagreement"].isna().any()


def test_the_callback_sees_every_epoch(finished):
    folder, reports = finished
    assert [report.finished for report in reports] == [False, False, False, True]
    assert [len(report.curves.metrics) for report in reports] == [1, 2, 3, 4]
    assert {report.run.folder for report in reports} == {folder}
    scores = [report.evaluation.table().set_index("role")["miou"]["ensemble"] for report in reports]
    assert scores == pytest.approx(pd.read_csv(folder / "metrics.csv")["miou_ensemble"].tolist(), rel=1e-12)


def test_what_is_loaded_scores_what_was_written(finished, scenes):
    folder, _ = finished
    networks = psmt_viz.load_run(folder)
    assert not any(module.training for module in networks.modules())
    scored = evaluate(networks, scenes)
    written = Evaluation.load(folder)
    assert scored.confusion.keys() == written.confusion.keys()
    for role, matrix in scored.confusion.items():
        assert (matrix == written.confusion[role]).all()
    last = pd.read_csv(folder / "metrics.csv").iloc[-1]
    for row in scored.table().itertuples():
        assert row.miou == pytest.approx(last[f"miou_{row.role}"], rel=1e-12)
    assert written.subject["run"] == "run"


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


def test_of_equal_scores_the_first_is_best(tiny, scenes, folder, monkeypatch):
    honest, first = loop.evaluate, []

    def evaluate(*arguments, **settings):
        first.append(honest(*arguments, **settings))
        return first[0]

    monkeypatch.setattr(loop, "evaluate", evaluate)
    lasts = []
    train(tiny(), scenes, folder, on_epoch=lambda _: lasts.append((folder / "last.safetensors").read_bytes()))
    assert pd.read_csv(folder / "metrics.csv")["miou_ensemble"].nunique() == 1
    assert (folder / "best.safetensors").read_bytes() == lasts[0] != lasts[-1]


def test_best_is_the_last_of_the_best_epoch(tiny, scenes, folder):
    lasts = []
    config = tiny(lr=0.1, steps_per_epoch=8, warmup_steps=8)
    train(config, scenes, folder, on_epoch=lambda _: lasts.append((folder / "last.safetensors").read_bytes()))
    scores = pd.read_csv(folder / "metrics.csv")["miou_ensemble"]
    assert scores.nunique() > 1
    assert (folder / "best.safetensors").read_bytes() == lasts[int(scores.idxmax())]
    assert (folder / "last.safetensors").read_bytes() == lasts[-1]
    assert len(set(lasts)) == 4


def test_a_loss_that_stops_being_finite_keeps_the_last_checkpoint(tiny, scenes, folder, monkeypatch):
    honest, calls, kept = training_method.labeled_cross_entropy, [], []

    def turning(logits, label, count):
        calls.append(None)
        return honest(logits, label, count) * (1 if len(calls) <= 4 else math.nan)

    monkeypatch.setattr(training_method, "labeled_cross_entropy", turning)
    with pytest.raises(UserError, match=r"finite loss, got loss_sup nan at step 4; lower --lr; .* is kept"):
        train(tiny(method="supervised"), scenes, folder, on_epoch=lambda _: kept.append(contents(folder)))
    assert len(kept) == 2
    left = contents(folder)
    assert left.keys() == kept[-1].keys()
    assert {name for name in left if left[name] != kept[-1][name]} == {"state.pt"}  # written after the callback
    last = state(folder)
    assert (last["step"], last["rows"]) == (4, [])
    weights = [values for network in last["networks"].values() for values in network.values()]
    assert all(torch.isfinite(values).all() for values in weights)


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
    assert left == (kept[-1] if kept else {})  # nothing, so that the mended command can use the folder


def test_the_control_leaves_the_teachers_columns_empty(control):
    _, folder = control
    metrics = pd.read_csv(folder / "metrics.csv")
    assert list(metrics.columns) == COLUMNS
    empty = {"miou_teacher1", "miou_teacher2", "miou_ensemble", "pixel_accuracy_ensemble"}
    empty |= {*OF_TEACHERS, "teacher_distance"}
    assert set(metrics.columns[metrics.isna().all()]) == empty
    assert not metrics[sorted(set(COLUMNS) - empty)].isna().any(axis=None)
    assert psmt_viz.load_run(folder).roles == ("student",)
    assert list(pd.read_csv(folder / "evaluation.csv")["role"]) == ["student"]


def test_an_unsupervised_loss_that_is_not_finite_is_named_at_the_next_entry(tiny, scenes, folder, monkeypatch):
    honest = psmt.confident_cross_entropy
    monkeypatch.setattr(psmt, "confident_cross_entropy", lambda *given: honest(*given) * math.inf)
    monkeypatch.setattr(loop, "evaluate", None)  # the epoch's second step is never taken
    with pytest.raises(UserError, match=r"finite loss, got loss_unsup inf at step 0; lower --lr"):
        train(tiny(warmup_epochs=0, log_every=1), scenes, folder)
    assert not (folder / "state.pt").exists()


@pytest.mark.parametrize("method", ["psmt", "supervised"])
@pytest.mark.parametrize("pseudo_labels", ["eval", "train"])
def test_one_image_a_step_is_enough(tiny, scenes, folder, method, pseudo_labels):
    train(
        tiny(method=method, pseudo_labels=pseudo_labels, batch_labeled=1, batch_unlabeled=1, epochs=2, warmup_steps=2),
        scenes,
        folder,
    )
    metrics = pd.read_csv(folder / "metrics.csv")
    assert len(metrics) == 3 and metrics["loss_sup"].notna().all()
    assert metrics["loss_unsup"][1:].notna().all() == (method == "psmt")
