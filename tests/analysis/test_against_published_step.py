"""Steps of training: the published code's, those of other numbers, and wrong steps one at a time."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from published.document import Node, read
from published.report import BEYOND, INPUTS, Report
from published.step import check_steps

from psmt_viz import presets
from psmt_viz.train import trainer
from psmt_viz.train.cutmix import Box
from psmt_viz.train.ema import ema_update
from psmt_viz.train.losses import confident_cross_entropy, labeled_cross_entropy
from psmt_viz.train.method import StepLog
from psmt_viz.train.methods import psmt
from psmt_viz.train.trainer import Trainer
from tests.analysis.stated_step import StatedStep

FILE = Path(__file__).parent / "published" / "step.json"
"""Weights go round by rule: tests of one rule stand together, because those of the last one are kept."""
STATED = json.loads(FILE.read_text())


@pytest.fixture(autouse=True)
def weights_from_the_file_alone(monkeypatch):
    """Networks need no weights of their own, which take longer to draw than a small step."""
    for name in ("kaiming_normal_", "kaiming_uniform_", "normal_", "uniform_", "trunc_normal_"):
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)


def checked(*runs, steps=("step0",), change=None):
    """The report on some runs of the trimmed file."""
    document = copy.deepcopy(STATED)
    document["runs"] = {name: {step: document["runs"][name][step] for step in steps} for name in runs}
    if change is not None:
        change(document)
    return compared(document)


def beyond(report):
    return {row.piece.split(": ", 1)[1] for row in report.rows if row.verdict == BEYOND}


def test_two_steps_of_the_published_code_in_float64():
    report = checked("published_fp64", steps=("step0", "step1"))
    assert report.passed, report.table()
    assert len(report.rows) > 30
    losses = [row for row in report.rows if "losses" in row.piece]
    assert [row.tolerance for row in losses] == [1e-10, 1e-10]
    assert [row.tolerance for row in report.rows if "student's weights" in row.piece] == [1e-12, 1e-12]


@pytest.mark.parametrize("run", ["teacher2_epoch8_fp64", "box_per_image_fp64", "noise_off_fp32"])
def test_its_variants(run):
    report = checked(run)
    assert report.passed, report.table()


def other_step(**numbers):
    published = {"epoch": 5, "epochs": 30, "iterations": 17, "lr0": 2e-5, "classifier_scale": 5.0, "bn3_scale": 0.25}
    return StatedStep(STATED["rule"], **{"crop": 32, "xi": 1e-6, **published, **numbers}).document()


def compared(document):
    report = Report()
    check_steps(Node(document, FILE), report)
    return report


def test_inputs_that_cannot_be_rebuilt_are_no_fault_of_the_method():
    def other_seed(document):
        words = document["rule"]["inputs_of_step_k"]
        document["rule"]["inputs_of_step_k"] = words.replace("with base 2000", "with base 2001")

    report = checked("published_fp64", change=other_seed)
    assert not report.passed
    assert {row.verdict for row in report.rows} == {"ok", INPUTS}
    assert "labelled_strong_uint8" in report.table()
    assert not beyond(report)


def test_one_box_for_all_images_is_seen(monkeypatch):
    mask = Box.mask
    wrong = lambda self, height, width: mask(replace(self, corners=self.corners[:1].expand(2, 4)), height, width)  # noqa: E731
    monkeypatch.setattr(Box, "mask", wrong)
    assert any(piece.startswith("losses") for piece in beyond(checked("box_per_image_fp64")))


def test_momentum_that_is_lost_is_seen(monkeypatch):
    take = Trainer.take

    def wrong(self, step, batches):
        self.learners["student"].optimizer.state.clear()
        return take(self, step, batches)

    monkeypatch.setattr(Trainer, "take", wrong)
    report = checked("published_fp64", steps=("step0", "step1"))
    pieces = [row.piece for row in report.rows if row.verdict == BEYOND]
    assert pieces == ["published_fp64 1: student's weights", "published_fp64 1: teacher1's weights"]


@pytest.fixture(scope="module")
def other():
    """A small step of other numbers, whose outputs the test wrote out itself."""
    return other_step(base=777, classes=11)


def test_a_step_of_other_numbers(other):
    report = compared(other)
    assert report.passed, report.table()


def test_another_step_of_other_numbers():
    report = compared(other_step(base=777, classes=11, crop=48, epoch=4, epochs=12, iterations=6, xi=1e-2))
    assert report.passed, report.table()


# ---------------------------------------------------------------- wrong rules, one at a time


def recipe(patch, **values):
    changed = {**presets.RECIPES["official-code"], **values}
    patch.setattr(presets, "RECIPES", MappingProxyType({**presets.RECIPES, "official-code": changed}))


def searching(patch, **changes):
    """The search with some of its arguments changed by functions of all of them."""
    search = psmt.adversarial_perturbation

    def wrong(predict, z, **given):
        return search(predict, z, **{**given, **{name: change(given, z) for name, change in changes.items()}})

    patch.setattr(psmt, "adversarial_perturbation", wrong)


def joint_batch(patch):
    """One pass through the student for labelled and unlabelled images together."""

    def step(self, number, batches):
        settings, student = self.settings, self.learners["student"]
        lr, weight = self.learning_rate(number), self.unsup_weight(number)
        (labeled,) = self.micro_batches.cut(batches["labeled"], settings.batch_labeled)
        (unlabeled,) = self.micro_batches.cut(batches["unlabeled"], settings.batch_unlabeled)
        self.networks.teachers.train(settings.pseudo_labels == "train")
        target = self.target(number, unlabeled)

        def noise(z):
            halves = zip(("labeled", "unlabeled"), (labeled, unlabeled), z.chunk(2), strict=True)
            return torch.cat([self.searched_noise(number, branch, images, part) for branch, images, part in halves])

        student.start_step(lr, micro_batches=1)
        with student.micro_batch():
            sup, unsup = student(torch.cat([labeled.strong, target.images]), noise).chunk(2)
            losses = [labeled_cross_entropy(sup, labeled.label.long()), confident_cross_entropy(unsup, target.pseudo)]
            student.backward(losses[0] + weight * losses[1])
        student.step()
        ema_update(self.networks.by_role()[self.turn(number)], student.network, keep=settings.ema)
        share = target.pseudo.passing.double().mean()
        names = ("loss_sup", "loss_unsup", "confident_fraction")
        measured = dict(zip(names, [*(each.detach() for each in losses), share], strict=True))
        return StepLog(measured=measured, unsup_weight=weight, learning_rate=lr)

    patch.setattr(psmt.PSMT, "step", step)


def floor_on_the_offset(patch):
    searching(patch, floor=lambda given, z: given["floor"] * given["xi"] / given["batch"])


def floor_of_both_passes(patch):
    searching(patch, batch=lambda given, z: 2 * given["batch"])


def noise_of_another_seed(patch):
    start = lambda given, z: torch.rand(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(9)) - 0.5  # noqa: E731
    searching(patch, start=start)


def gaussian_start(patch):
    start = lambda given, z: torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(9))  # noqa: E731
    searching(patch, start=start)


def teachers_in_eval_mode(patch):
    recipe(patch, pseudo_labels="eval")


def padding_left_out(patch):
    recipe(patch, count_padding=False)


def gaussian_ramp(patch):
    recipe(patch, ramp="gaussian")


def no_assist_mask(patch):
    patch.setattr(psmt, "assisted_mean", lambda updated, other, *, top: (updated + other) / 2)


def ema_of_weights_alone(patch):
    @torch.no_grad()
    def update(teacher, student, *, keep):
        for mine, other in zip(teacher.parameters(), student.parameters(), strict=True):
            mine.lerp_(other, 1 - keep)

    patch.setattr(psmt, "ema_update", update)


def the_other_teachers_turn(patch):
    turn = psmt.PSMT.turn
    others = {"teacher1": "teacher2", "teacher2": "teacher1"}
    patch.setattr(psmt.PSMT, "turn", lambda self, step: others[turn(self, step)])


def mean_over_all_pixels(patch):
    loss = psmt.confident_cross_entropy

    def wrong(logits, pseudo, share):
        return loss(logits, pseudo, torch.full_like(share, 1 / pseudo.passing.numel()))

    patch.setattr(psmt, "confident_cross_entropy", wrong)


def confidence_as_no_weight(patch):
    loss = psmt.confident_cross_entropy

    def wrong(logits, pseudo, share):
        return loss(logits, replace(pseudo, confidence=torch.ones_like(pseudo.confidence)), share)

    patch.setattr(psmt, "confident_cross_entropy", wrong)


def decay_of_every_weight(patch):
    make = trainer.make_optimizer

    def wrong(network, config):
        optimizer = make(network, config)
        for group in optimizer.param_groups:
            group["weight_decay"] = config.weight_decay
        return optimizer

    patch.setattr(trainer, "make_optimizer", wrong)


WRONG = {
    joint_batch: "losses",
    floor_on_the_offset: "noise",
    floor_of_both_passes: "noise",
    noise_of_another_seed: "noise",
    gaussian_start: "noise",
    teachers_in_eval_mode: "losses",
    padding_left_out: "passing",
    gaussian_ramp: "losses",
    no_assist_mask: "losses",
    ema_of_weights_alone: "teacher1's running",
    the_other_teachers_turn: "teacher1's weights",
    mean_over_all_pixels: "losses",
    confidence_as_no_weight: "losses",
    decay_of_every_weight: "student's weights",
}


@pytest.mark.parametrize("fault", WRONG, ids=lambda fault: fault.__name__)
def test_a_wrong_rule_is_seen(monkeypatch, other, fault):
    fault(monkeypatch)
    found = beyond(compared(other))
    assert any(piece.startswith((WRONG[fault], f"{WRONG[fault]} of")) for piece in found), found


def test_noise_that_is_replayed_is_seen(monkeypatch, other):
    starts = {}
    searching(monkeypatch, start=lambda given, z: starts.setdefault("first", given["start"]))
    assert any(piece.startswith("noise of the unlabelled") for piece in beyond(compared(other)))


def test_the_file_is_read_as_it_lies(tmp_path):
    """The keys beside a file win over the product's own order."""
    (tmp_path / "keys_resnet50.json").write_text('{"encoder1.backbone.conv1.0.weight": [64, 3, 3, 3]}')
    path = tmp_path / "step.json"
    path.write_text(FILE.read_text())
    with pytest.raises(ValueError, match="expected"):
        check_steps(read(path), Report())
