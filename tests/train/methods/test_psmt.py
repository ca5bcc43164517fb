import copy
import math

import pytest
import torch

from psmt_viz.presets import RECIPES
from psmt_viz.train.methods import psmt
from psmt_viz.train.trainer import Trainer
from tests.train.by_hand import (
    assert_close,
    averaged,
    copied,
    fix_statistics,
    psmt_reference,
    same,
    sharpen,
    spied,
    states,
)

ONE_STEP = {"warmup_epochs": 0, "ramp_epochs": 0, "perturbation": "none", "confidence": 0.6, "long_side": (30, 46)}
"""Settings under which a first step is all of the method but the noise; images are smaller than the crop."""
FOUR = {"batch_labeled": 4, "batch_unlabeled": 4}


@pytest.mark.parametrize(
    ("epoch", "values"),
    [
        (0, {}),
        (1, {"cutmix": "none"}),
        (0, {"cutmix": "three", **FOUR}),
        (1, {"accumulate": 2, **FOUR}),
        (0, {"accumulate": 2, "cutmix": "none", **FOUR}),
        (0, {"accumulate": 2, "cutmix": "none", **FOUR, **RECIPES["official-code"]}),
        (1, RECIPES["official-code"]),
        (0, {"images_per_gpu": 1, "loss_mean": "batch", **FOUR}),
    ],
)
def test_a_step_of_psmt_written_out(tiny, scenes, epoch, values):
    trainer = Trainer(tiny(**ONE_STEP, head_lr_factor=2.0, seed=3, **values), scenes)
    sharpen(trainer)
    step = 2 * epoch
    before = [copied(teacher) for teacher in trainer.networks.teachers.values()]
    student, teachers, numbers = psmt_reference(trainer, step, 0.02 * (1 - step / 6) ** 0.9, epoch)
    assert 0.05 < numbers[2] < 0.95 and 0 < numbers[3] < 1 and numbers[1] > 0.01
    log = next(trainer.steps(step, step + 1))
    assert_close(trainer.networks.student.state_dict(), student)
    for teacher, expected in zip(trainer.networks.teachers.values(), teachers, strict=True):
        assert_close(teacher.state_dict(), expected)
    assert [value.item() for value in log.measured.values()] == pytest.approx(numbers, rel=1e-4)
    # Looking at images in train mode moves the statistics of the teacher at rest, and nothing else of it.
    resting = list(trainer.networks.teachers.values())[1 - epoch].state_dict()
    moved = {name.rpartition(".")[2] for name in resting if not torch.equal(resting[name], before[1 - epoch][name])}
    drift = {"running_mean", "running_var", "num_batches_tracked"}
    assert moved == (drift if trainer.method.settings.pseudo_labels == "train" else set())


def gradients(trainer):
    return torch.cat([parameter.grad.flatten() for parameter in trainer.networks.student.parameters()])


def test_micro_batches_without_batch_statistics_give_the_gradients_of_the_whole_batch(tiny, scenes, monkeypatch):
    found = {}
    for accumulate in (1, 2, 4):
        trainer = Trainer(tiny(**ONE_STEP, **FOUR, cutmix="none", accumulate=accumulate), scenes)
        sharpen(trainer)
        fix_statistics(trainer)
        targets = spied(monkeypatch, trainer.method, "target")
        log = next(trainer.steps(0, 1))
        counts = [int(target.pseudo.passing.sum()) for _, target in targets]
        assert len(set(counts)) == len(counts) == accumulate  # micro-batches of unequal weight
        found[accumulate] = gradients(trainer), torch.stack([*log.measured.values()])
    whole, numbers = found[1]
    for accumulate in (2, 4):
        torch.testing.assert_close(found[accumulate][0], whole, rtol=0, atol=1e-5 * float(whole.abs().max()))
        torch.testing.assert_close(found[accumulate][1], numbers, rtol=1e-5, atol=0)


def test_noise_belongs_to_an_image_wherever_it_is_computed(tiny, scenes, monkeypatch):
    orders = {}
    for accumulate in (1, 2, 4):
        with monkeypatch.context() as patch:
            searches = spied(patch, psmt, "adversarial_perturbation")
            next(Trainer(tiny(warmup_epochs=0, accumulate=accumulate, **FOUR), scenes).steps(0, 1))
        # The labelled images of a micro-batch, then its others.
        assert len(searches) == 2 * accumulate
        orders[accumulate] = torch.cat([found.start for _, found in searches[::2] + searches[1::2]])
    assert torch.equal(orders[1], orders[2]) and torch.equal(orders[1], orders[4])
    assert len({start.numpy().tobytes() for start in orders[1]}) == 8


def test_a_whole_run_step_by_step(tiny, scenes):
    """Who moves when, by how much, and that looking at pseudo-labels moves nobody's statistics."""
    trainer = Trainer(tiny(), scenes)
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
                groups = trainer.learners[role].optimizer.param_groups
                assert {group["lr"] / group["lr_factor"] for group in groups} == {log.learning_rate}
            before = after
    # Epochs 1 (warm-up), 2, 3, 4: in the first after the warm-up teacher 1 learns.
    assert turns == [{"teacher1", "teacher2"}] * 2 + [{"teacher1"}] * 2 + [{"teacher2"}] * 2 + [{"teacher1"}] * 2
    ramp = [1.5 * math.exp(-5 * (1 - k / 4) ** 2) for k in range(4)]
    assert weights == pytest.approx([0, 0, *ramp, 1.5, 1.5])
    assert rates == pytest.approx([0.02, 0.02, *(0.02 * (1 - k / 6) ** 0.9 for k in range(6))])


@pytest.mark.parametrize(("perturbation", "role"), [("tvat", "ensemble"), ("vat", "student")])
def test_the_noise_is_found_by_the_right_decoder_and_reaches_the_student(tiny, scenes, monkeypatch, perturbation, role):
    trainer = Trainer(tiny(perturbation=perturbation, eps=3.0), scenes)
    search, found, decoded = psmt.adversarial_perturbation, [], []

    def spy(predict, z, **given):
        judges = copy.deepcopy(trainer.networks).eval()
        with torch.no_grad():
            assert torch.equal(predict(z), judges.decode(role, z, (48, 48)))
        result = search(predict, z, **given)
        found.append((z.detach().clone(), result.delta))
        return result

    monkeypatch.setattr(psmt, "adversarial_perturbation", spy)
    decoder = trainer.networks.student.decoder
    decoder.register_forward_pre_hook(lambda module, given: decoded.append((module.training, given[0].detach())))
    list(trainer.steps(0, 2))
    assert found == []  # not in the warm-up
    decoded.clear()
    before = [copied(teacher) for teacher in trainer.networks.teachers.values()]
    next(trainer.steps(2, 3))
    seen = [given for training, given in decoded if training]
    assert len(found) == len(seen) == 2  # labelled and unlabelled images alike, one after the other
    for (z, delta), given in zip(found, seen, strict=True):
        assert z.shape == (2, 12, 12, 12)
        torch.testing.assert_close(delta.flatten(1).norm(dim=1), torch.full((2,), 3.0))
        torch.testing.assert_close(given, z + delta)
    assert same(before[1], trainer.networks.teachers["teacher2"].state_dict())
    assert all(p.requires_grad for p in trainer.networks.parameters())


@pytest.mark.parametrize(("accumulate", "batch"), [(1, 4), (2, 4), (1, 2), (4, 2), (2, 1)])
def test_the_floor_knows_the_images_of_one_published_call(tiny, scenes, monkeypatch, accumulate, batch):
    """However a batch of 4 + 4 is cut here, B is what one of the published GPUs has."""
    searches = spied(monkeypatch, psmt, "adversarial_perturbation")
    values = {"warmup_epochs": 0, "accumulate": accumulate, "images_per_gpu": batch, **FOUR}
    next(Trainer(tiny("official-code", **values), scenes).steps(0, 1))
    assert [given["batch"] for given, _ in searches] == [batch] * 2 * accumulate


def test_noise_of_another_seed_or_kind_changes_the_step(tiny, scenes):
    losses = {}
    for kind in ("tvat", "vat", "none"):
        trainer = Trainer(tiny(perturbation=kind, warmup_epochs=0, eps=50.0), scenes)
        losses[kind] = next(trainer.steps(0, 1)).measured["loss_sup"].item()
    assert len(set(losses.values())) == 3


def backbone(network):
    return network.backbone.state_dict()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_decides_starts_loaders_ramp_and_noise(tiny, scenes, monkeypatch, recipe):
    searches = spied(monkeypatch, psmt, "adversarial_perturbation")
    # 4 labelled images in batches of 2: the second half of an epoch of 4 steps goes through them again.
    trainer = Trainer(tiny(recipe, warmup_epochs=0, steps_per_epoch=4, long_side=(30, 70)), scenes)
    published = recipe == "official-code"
    first, second = trainer.networks.teachers.values()
    assert same(backbone(first), backbone(trainer.networks.student)) == (not published)
    assert same(backbone(first), backbone(second)) == (not published)
    assert not same(copied(first.classifier), copied(second.classifier))

    for name in ("labeled", "teacher1", "teacher2"):
        seen = [each.strong.numpy().tobytes() for each in map(trainer.loaders[name].batch, range(8))]
        if published:
            assert (seen[:2], seen[4:6]) == (seen[2:4], seen[6:])
        assert len(set(seen)) == (4 if published else 8)

    # Past half of the ramp of 8 steps the two curves lie far apart.
    (log,) = trainer.steps(5, 6)
    share = (1 - math.cos(math.pi * 5 / 8)) / 2 if published else math.exp(-5 * (3 / 8) ** 2)
    assert log.unsup_weight == pytest.approx(1.5 * share)
    sound, rounded = {"noise": "gaussian", "xi": None, "floor": 0.0}, {"noise": "uniform", "xi": 1e-6, "floor": 1e-8}
    for given, _ in searches:
        asked = {name: given[name] for name in ("noise", "xi", "floor", "batch")}
        assert asked == (rounded if published else sound) | {"batch": 2}
