"""What holds for every method of training there is, also for the next one."""

import signal

import numpy as np
import pandas as pd
import pytest
import torch

import psmt_viz
from psmt_viz.methods import METHODS
from psmt_viz.results import Evaluation
from psmt_viz.runs import Run
from psmt_viz.train.session import train
from psmt_viz.train.stopping import Stopped
from psmt_viz.train.trainer import Trainer
from tests.train.by_hand import TINY, states
from tests.train.run_folders import asking, during_step, lasting


@pytest.fixture(scope="module", params=METHODS)
def trained(request, tiny, scenes, tmp_path_factory):
    """The settings of a short run of each method, and its folder; to be read only."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    folder.mkdir()
    config = tiny(method=request.param)
    train(config, scenes, folder)
    return config, folder


def test_its_folder_says_what_the_method_measures(trained):
    config, folder = trained
    method, metrics = config.method, pd.read_csv(folder / "metrics.csv")
    assert tuple(metrics.columns) == method.columns
    assert metrics["epoch"].tolist() == [1, 2, 3, 4] and metrics["loss_sup"].notna().all()
    assert metrics[f"miou_{method.best_role}"].notna().all()
    if method.needs_unlabeled:
        assert metrics["loss_unsup"].isna().tolist() == [True, False, False, False]
        assert metrics["unsup_weight"].iloc[-1] == pytest.approx(method.unsupervised.final)


def test_its_networks_are_loaded_with_their_roles(trained):
    config, folder = trained
    networks = psmt_viz.load_run(folder)
    roles = ["student", *config.method.teachers, *(["ensemble"] if len(config.method.teachers) > 1 else [])]
    assert list(networks.roles) == list(Evaluation.load(folder).confusion) == roles
    last = pd.read_csv(folder / "metrics.csv").iloc[-1]
    for role, miou in Evaluation.load(folder).miou.items():
        assert miou == pytest.approx(last[f"miou_{role}"], rel=1e-12)
    images = Run.open(folder).curves().images_per_step
    assert images == TINY["batch_labeled"] + config.method.needs_unlabeled * TINY["batch_unlabeled"]


@pytest.mark.parametrize("stopped", [1, 5])
def test_it_resumes_as_if_it_had_not_been_stopped(trained, scenes, folder, stopped):
    config, straight = trained
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        during_step(patch, stopped, asking(signal.SIGTERM))
        train(config, scenes, folder)
    train(config, scenes, folder, resume=True)
    assert lasting(folder) == lasting(straight)


@pytest.mark.parametrize("method", METHODS)
def test_a_step_ends_the_same_whatever_the_callers_generator_is_at(tiny, scenes, method):
    ends = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        trainer = Trainer(tiny(method=method, accumulate=2, warmup_epochs=0), scenes)
        before = states(trainer)
        next(trainer.steps(0, 1))
        ends.append(states(trainer))
        moved = [
            name for name, values in before["student"].items() if not torch.equal(values, ends[-1]["student"][name])
        ]
        assert len(moved) > 20
    for role, values in ends[0].items():
        assert all(torch.equal(value, ends[1][role][name]) for name, value in values.items())


@pytest.mark.parametrize("method", METHODS)
def test_its_picture_shows_a_step_and_changes_nothing(tiny, scenes, method):
    trainer = Trainer(tiny(method=method), scenes)
    list(trainer.steps(0, 2))
    before = states(trainer)
    shown = trainer.picture(0, images=1)
    rows = 1 + trainer.config.method.needs_unlabeled
    assert {len(values) for values in shown.columns.values()} == {rows}
    if shown.confidence is not None:
        assert np.isnan(shown.confidence[0]).all() and ((shown.confidence[1] > 0) & (shown.confidence[1] <= 1)).all()
    after = states(trainer)
    assert all(torch.equal(values, after[role][name]) for role in before for name, values in before[role].items())
