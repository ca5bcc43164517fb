import copy

import pytest
import torch

from psmt_viz.train.losses import PseudoLabel
from psmt_viz.train.method import StepLog
from psmt_viz.train.methods.mean_teacher import ProbabilityTarget, consistency
from psmt_viz.train.trainer import Trainer
from tests.train.by_hand import assert_close, averaged, batch, copied, cross_entropy, joined, same

ONE_STEP = {"method": "mean_teacher", "warmup_epochs": 0, "ramp_epochs": 0, "long_side": (30, 46)}
"""Settings under which a first step is all of the method; images are smaller than the crop."""


def target_of(probabilities, valid):
    label = torch.zeros(valid.shape, dtype=torch.uint8)
    pseudo = PseudoLabel(target=label, confidence=probabilities[:, 0], passing=valid, valid=valid)
    return ProbabilityTarget(images=torch.zeros(1), pseudo=pseudo, probabilities=probabilities)


def test_the_consistency_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    logits, others = (torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    valid = torch.rand(2, 4, 5, generator=generator) < 0.7
    weight = torch.tensor([0.5, 0.25], dtype=torch.float64)
    expected = 0.0
    for image in range(2):
        for row in range(4):
            for column in range(5):
                mine, theirs = (each[image, :, row, column].softmax(0).tolist() for each in (logits, others))
                if valid[image, row, column]:
                    expected += float(weight[image]) * sum((mine[k] - theirs[k]) ** 2 for k in range(3))
    found = consistency(logits, target_of(others.softmax(1), valid), weight)
    assert float(found) == pytest.approx(expected, rel=1e-12)
    assert float(consistency(others, target_of(others.softmax(1), valid), weight)) == pytest.approx(0, abs=1e-30)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_written_out(tiny, scenes, accumulate):
    values = {"batch_labeled": 4, "batch_unlabeled": 4, "accumulate": accumulate, "consistency_weight": 3.0}
    trainer = Trainer(tiny(**{**ONE_STEP, **values}, ema=0.9), scenes)
    list(trainer.steps(0, 2))  # so that the teacher is another than the student
    student, teacher = copy.deepcopy(trainer.networks.student), copy.deepcopy(trainer.networks.teachers["teacher"])
    assert not same(copied(student), copied(teacher))
    optimizer = copy.deepcopy(trainer.learners["student"].optimizer.state_dict())
    labeled, unlabeled = (batch(trainer, name, 2).chunks(accumulate) for name in ("labeled", "unlabeled"))
    known = sum((part.label != 255).sum() for part in labeled)
    valid = sum((part.label != 255).sum() for part in unlabeled)
    assert valid < 4 * 48 * 48
    copies, losses = [], [0.0, 0.0]
    for views in labeled:
        copies.append(copy.deepcopy(student).train())
        copies[-1].zero_grad()
        loss = cross_entropy(copies[-1](views.strong / 255), views.label, known)
        loss.backward()
        losses[0] += float(loss.detach())
    first = joined(copy.deepcopy(student), copies)
    copies = []
    for views in unlabeled:
        copies.append(copy.deepcopy(first).train())
        copies[-1].zero_grad()
        with torch.no_grad():
            wanted = teacher.eval()(views.weak / 255).softmax(1)
        apart = (copies[-1](views.strong / 255).softmax(1) - wanted).pow(2).sum(1)
        loss = apart[views.label != 255].sum() / valid
        (3.0 * loss).backward()
        losses[1] += float(loss.detach())
    second = joined(copy.deepcopy(first), copies)
    gradients = {
        name: mine.grad + theirs.grad
        for (name, mine), theirs in zip(first.named_parameters(), second.parameters(), strict=True)
    }
    log = next(trainer.steps(2, 3))
    found = dict(trainer.networks.student.named_parameters())
    assert_close({name: values.grad for name, values in found.items()}, gradients)
    assert [log.measured[name].item() for name in ("loss_sup", "loss_unsup")] == pytest.approx(losses, rel=1e-4)
    assert log.unsup_weight == 3.0 and optimizer["state"]
    expected = averaged(teacher.state_dict(), copied(trainer.networks.student), 1 - 1 / 3)
    assert_close(copied(trainer.networks.teachers["teacher"]), expected)


def test_the_teacher_is_the_mean_of_the_students_until_it_forgets(tiny, scenes):
    """Also in the warm-up; statistics are averaged like weights."""
    trainer = Trainer(tiny(method="mean_teacher", ema=0.6), scenes)
    teacher, before = trainer.networks.teachers["teacher"], None
    for step in range(6):
        (log,) = trainer.steps(step, step + 1)
        assert isinstance(log, StepLog) and set(log.measured) == {"loss_sup", *(["loss_unsup"] if step >= 2 else [])}
        student = copied(trainer.networks.student)
        if before is None:
            assert same(copied(teacher), student)
        else:
            assert_close(copied(teacher), averaged(before, student, min(1 - 1 / (step + 1), 0.6)))
        before = copied(teacher)
    assert set(trainer.learners) == {"student"} and set(trainer.loaders) == {"labeled", "unlabeled"}
