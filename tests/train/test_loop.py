import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from psmt_viz.data.cutmix import draw_box
from psmt_viz.seeds import derived_seed
from psmt_viz.train import loop
from psmt_viz.train.loop import Trainer, updated_teacher


def copied(network):
    return {name: values.clone() for name, values in network.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def states(trainer):
    return {role: copied(network) for role, network in trainer.bundle.networks().items()}


def batch(trainer, name, step):
    return next(trainer.streams[name].batches(step, step + 1))


def sharpen(trainer):
    """Gives the teachers the statistics and the confidence that training would: probabilities from a third to 1."""
    images = batch(trainer, "unlabeled", 0).weak / 255
    for teacher in trainer.bundle.teachers:
        norms = [module for module in teacher.modules() if isinstance(module, nn.BatchNorm2d)]
        for module in norms:
            module.momentum = 1.0
        with torch.no_grad():
            teacher.train()(images)
        for module in norms:
            module.momentum = 0.1
        teacher.classifier.weight.data *= 6


def cross_entropy(logits, label):
    return F.cross_entropy(logits, label.long(), ignore_index=255)


def descended(network, loss, lr, optim):
    """The first step of SGD: no momentum yet, decay on convolution weights."""
    loss.backward()
    for name, parameter in network.named_parameters():
        factor = 1.0 if name.startswith("backbone.") else optim.head_lr_factor
        decay = optim.weight_decay if parameter.ndim == 4 else 0.0
        parameter.data -= lr * factor * (parameter.grad + decay * parameter.data)
    return network.state_dict()


def averaged(teacher, student, keep):
    return {
        name: (keep * values + (1 - keep) * student[name]) if values.is_floating_point() else student[name]
        for name, values in teacher.items()
    }


def assert_close(found, expected):
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=2e-5, atol=2e-6, msg=lambda m, name=name: f"{name}: {m}")


def test_the_updated_teacher_takes_turns():
    assert [updated_teacher(epoch) for epoch in range(5)] == [0, 1, 0, 1, 0]


def test_the_first_step_of_the_warm_up_written_out(tiny, scenes):
    config = tiny(head_lr_factor=2.0, weight_decay=0.1)
    trainer = Trainer(config, scenes, device="cpu")
    batches = {role: batch(trainer, name, 0) for role, name in ROLE_STREAMS.items()}
    assert len({b.label.numpy().tobytes() for b in batches.values()}) == 3  # everyone has an order of its own
    expected, losses = {}, {}
    for role, network in copy.deepcopy(trainer.bundle).train().networks().items():
        images = batches[role].strong if role == "student" else batches[role].weak
        losses[role] = cross_entropy(network(images / 255), batches[role].label)
        expected[role] = descended(network, losses[role], 0.02, config.optim)
    before = states(trainer)
    log = next(trainer.steps(0, 2))
    for role, network in trainer.bundle.networks().items():
        assert not same(before[role], network.state_dict())
        assert_close(network.state_dict(), expected[role])
    assert float(log.loss_sup) == pytest.approx(float(losses["student"].detach()), rel=1e-6)
    assert log.unsup_weight == 0
    assert torch.stack([log.loss_unsup, log.confident_fraction]).isnan().all()


ROLE_STREAMS = {"student": "labeled", "teacher1": "teacher1", "teacher2": "teacher2"}


def psmt_reference(trainer, config, step, lr, updated):
    """Weights after one step as the supplement has it (final weight 1.5, EMA 0.9), without noise on the features."""
    bundle = copy.deepcopy(trainer.bundle)
    labeled, unlabeled = batch(trainer, "labeled", step), batch(trainer, "unlabeled", step)
    with torch.no_grad():
        mine, other = (bundle.teachers[i].eval()(unlabeled.weak / 255) for i in (updated, 1 - updated))
    least = other.sort(dim=1, descending=True).values[:, config.method.assist_top - 1, None]
    pseudo = (mine + torch.where(other >= least, other, mine)) / 2
    mixed, valid = unlabeled.strong / 255, unlabeled.label != 255
    if config.method.cutmix:
        source = torch.Generator().manual_seed(derived_seed(config.system.seed, "cutmix", step))
        box = draw_box(2, 48, 48, generator=source)
        assert 0 < box.mask.float().mean() < 1
        assert not torch.equal(valid[box.partner] & box.mask, valid & box.mask)
        mixed, pseudo, valid = (torch.where(box.mask, v[box.partner], v) for v in (mixed, pseudo, valid))
    confidence, target = pseudo.softmax(1).max(1)
    passing = (confidence >= config.method.confidence) & valid
    assert 0.05 < passing.float().mean() < 0.95
    student = bundle.student.train()
    logits = student(torch.cat([labeled.strong / 255, mixed]))
    sup = cross_entropy(logits[:2], labeled.label)
    wrong = -logits[2:].log_softmax(1).gather(1, target[:, None])[:, 0]
    unsup = (confidence * wrong)[passing].sum() / passing.sum()
    after = descended(student, sup + 1.5 * unsup, lr, config.optim)
    teacher = averaged(bundle.teachers[updated].state_dict(), after, 0.9)
    share = float(passing.sum() / valid.sum())
    return after, teacher, (float(sup.detach()), float(unsup.detach()), share)


@pytest.mark.parametrize("cutmix", [True, False])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_step_of_psmt_written_out(tiny, scenes, cutmix, epoch):
    config = tiny(
        warmup_epochs=0,
        ramp_epochs=0,
        perturbation="none",
        cutmix=cutmix,
        head_lr_factor=2.0,
        confidence=0.6,
        seed=3,  # its draws paste another image's box over padding, which the reference asks for
        long_side=(30, 46),
    )
    trainer = Trainer(config, scenes, device="cpu")
    sharpen(trainer)
    step = 2 * epoch
    lr = 0.02 * (1 - step / 6) ** 0.9
    student, teacher, numbers = psmt_reference(trainer, config, step, lr, epoch)
    resting = copied(trainer.bundle.teachers[1 - epoch])
    log = next(trainer.steps(step, step + 1))
    assert_close(trainer.bundle.student.state_dict(), student)
    assert_close(trainer.bundle.teachers[epoch].state_dict(), teacher)
    assert same(trainer.bundle.teachers[1 - epoch].state_dict(), resting)
    assert (float(log.loss_sup), float(log.loss_unsup), float(log.confident_fraction)) == pytest.approx(
        numbers, rel=1e-4
    )
    assert numbers[1] > 0.01


def test_a_whole_run_step_by_step(tiny, scenes):
    """Who moves when, by how much, and that looking at pseudo-labels moves nobody's statistics."""
    trainer = Trainer(tiny(), scenes, device="cpu")
    before, turns, weights, rates = states(trainer), [], [], []
    for first in range(0, 8, 2):
        for log in trainer.steps(first, first + 2):
            after = states(trainer)
            moved = {role for role in after if not same(before[role], after[role])}
            turns.append(moved - {"student"})
            assert "student" in moved
            if first >= 2:
                (teacher,) = turns[-1]
                assert_close(after[teacher], averaged(before[teacher], after["student"], 0.9))
                statistics = [name for name in after[teacher] if name.endswith(("running_mean", "running_var"))]
                assert len(statistics) > 10
            weights.append(log.unsup_weight)
            rates.append(log.learning_rate)
            for role in moved if first < 2 else {"student"}:
                groups = trainer.optimizers[role].param_groups
                assert {group["lr"] / group["lr_factor"] for group in groups} == {log.learning_rate}
            before = after
    # Epochs 1 (warm-up), 2, 3, 4: in the first after the warm-up teacher 1 learns.
    assert turns == [{"teacher1", "teacher2"}] * 2 + [{"teacher1"}] * 2 + [{"teacher2"}] * 2 + [{"teacher1"}] * 2
    ramp = [1.5 * math.exp(-5 * (1 - k / 4) ** 2) for k in range(4)]
    assert weights == pytest.approx([0, 0, *ramp, 1.5, 1.5])
    assert rates == pytest.approx([0.02, 0.02, *(0.02 * (1 - k / 6) ** 0.9 for k in range(6))])


@pytest.mark.parametrize(("perturbation", "role"), [("tvat", "ensemble"), ("vat", "student")])
def test_the_noise_is_found_by_the_right_decoder_and_reaches_the_student(tiny, scenes, monkeypatch, perturbation, role):
    trainer = Trainer(tiny(perturbation=perturbation, eps=3.0), scenes, device="cpu")
    search, found, decoded = loop.adversarial_perturbation, [], []

    def spy(predict, z, **given):
        judges = copy.deepcopy(trainer.bundle).eval()
        with torch.no_grad():
            assert torch.equal(predict(z), judges.decode(role, z, (48, 48)))
        result = search(predict, z, **given)
        found.append((z.detach().clone(), result.delta))
        return result

    monkeypatch.setattr(loop, "adversarial_perturbation", spy)
    decoder = trainer.bundle.student.decoder
    decoder.register_forward_pre_hook(lambda module, given: decoded.append((module.training, given[0].detach())))
    list(trainer.steps(0, 2))
    assert found == []  # not in the warm-up
    decoded.clear()
    before = [copied(teacher) for teacher in trainer.bundle.teachers]
    next(trainer.steps(2, 3))
    ((z, delta),) = found
    assert z.shape == (4, 12, 12, 12)  # labelled and unlabelled images alike
    torch.testing.assert_close(delta.flatten(1).norm(dim=1), torch.full((4,), 3.0))
    ((seen, _),) = [(given, training) for training, given in decoded if training]
    torch.testing.assert_close(seen, z + delta)
    assert same(before[1], trainer.bundle.teachers[1].state_dict())
    assert all(p.requires_grad for p in trainer.bundle.parameters())


def test_noise_of_another_seed_or_kind_changes_the_step(tiny, scenes):
    losses = {}
    for kind in ("tvat", "vat", "none"):
        trainer = Trainer(tiny(perturbation=kind, warmup_epochs=0, eps=50.0), scenes, device="cpu")
        losses[kind] = float(next(trainer.steps(0, 1)).loss_sup)
    assert len(set(losses.values())) == 3


def test_the_control_has_no_teachers_and_the_same_warm_up(tiny, scenes):
    control = Trainer(tiny(method="supervised"), scenes, device="cpu")
    full = Trainer(tiny(), scenes, device="cpu")
    assert set(control.bundle.networks()) == set(control.optimizers) == {"student"}
    assert set(control.streams) == {"labeled"}
    assert control.plan == full.plan
    logs = list(control.steps(0, 2))
    list(full.steps(0, 2))
    assert same(control.bundle.student.state_dict(), full.bundle.student.state_dict())
    logs += [*control.steps(2, 4), *control.steps(4, 8)]
    assert [log.learning_rate for log in logs] == pytest.approx(
        [0.02, 0.02, *(0.02 * (1 - k / 6) ** 0.9 for k in range(6))]
    )
    assert {log.unsup_weight for log in logs} == {0.0}
    assert all(log.loss_unsup.isnan() for log in logs)
    assert len({float(log.loss_sup) for log in logs}) == 8


def test_the_picture_shows_a_step_and_changes_nothing(tiny, scenes):
    config = tiny(cutmix=False, assist_top=7, confidence=0.6)
    looked, blind = (Trainer(config, scenes, device="cpu") for _ in range(2))
    for trainer in (looked, blind):
        list(trainer.steps(0, 2))
        sharpen(trainer)
    before = copied(looked.bundle)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    shown = looked.picture(2, images=1)
    assert torch.equal(torch.rand(2), expected)
    assert same(before, copied(looked.bundle))

    labeled, unlabeled = batch(looked, "labeled", 2), batch(looked, "unlabeled", 2)
    with torch.no_grad():
        network = looked.bundle.eval()
        first, second = (teacher(unlabeled.weak / 255)[:1] for teacher in network.teachers)
        prediction = network.student(torch.cat([labeled.strong[:1], unlabeled.strong[:1]]) / 255).argmax(1)
    confidence, pseudo = ((first + second) / 2).softmax(1).max(1)
    pseudo[(confidence < 0.6) | (unlabeled.label[:1] == 255)] = 255
    assert 0 < (pseudo == 255).float().mean() < 1
    pairs = {
        "weak view": torch.cat([labeled.weak[:1], unlabeled.weak[:1]]).permute(0, 2, 3, 1),
        "strong view": torch.cat([labeled.strong[:1], unlabeled.strong[:1]]).permute(0, 2, 3, 1),
        "truth or pseudo-label": torch.cat([labeled.label[:1], pseudo]),
        "student's prediction": prediction,
    }
    assert list(shown.columns) == list(pairs)
    for title, values in pairs.items():
        np.testing.assert_array_equal(shown.columns[title], values.numpy(), err_msg=title)
    assert np.isnan(shown.confidence[0]).all()
    np.testing.assert_allclose(shown.confidence[1], confidence[0], rtol=1e-6)

    list(looked.steps(2, 4)), list(blind.steps(2, 4))
    assert same(copied(looked.bundle), copied(blind.bundle))
