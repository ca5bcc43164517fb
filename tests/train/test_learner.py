import pytest
import torch
from torch import nn

from psmt_viz.train.trainer import Trainer
from tests.train.by_hand import copied, fix_statistics, same

LR = 0.5


@pytest.fixture
def trainers(tiny, scenes):
    """Two alike, whose layers keep their statistics."""
    made = [
        Trainer(tiny(method="supervised", momentum=0.0, weight_decay=0.0, head_lr_factor=1.0), scenes) for _ in "ab"
    ]
    for trainer in made:
        fix_statistics(trainer)
    return made


@pytest.fixture
def images():
    return torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(0))


def take(trainer, micro_batches, perturb=None):
    """A step that lowers the mean square of the logits."""
    learner = trainer.learners["student"]
    learner.start_step(LR, micro_batches=len(micro_batches))
    for part in micro_batches:
        with learner.micro_batch():
            learner.backward(learner(part, perturb).square().sum() / 1e4)
    learner.step()
    return learner.network


def test_a_step_follows_the_gradient_of_the_sum_of_the_losses(trainers, images):
    trainer, reference = trainers
    before = copied(trainer.networks.student)
    network = take(trainer, images.chunk(2))
    loss = reference.networks.student(images).square().sum() / 1e4
    names = [name for name, _ in network.named_parameters()]
    gradients = torch.autograd.grad(loss, list(reference.networks.student.parameters()))
    largest = max(float(values.abs().max()) for values in gradients)
    assert largest > 1e-3
    for name, gradient in zip(names, gradients, strict=True):
        found = network.get_parameter(name)
        torch.testing.assert_close(found.grad, gradient, rtol=1e-4, atol=1e-5 * largest, msg=name)
        torch.testing.assert_close(found.detach(), before[name] - LR * found.grad, msg=name)


def test_a_step_starts_without_the_gradients_of_the_last(trainers, images):
    trainer, other = trainers
    take(trainer, [images])
    other.networks.student.load_state_dict(trainer.networks.student.state_dict())
    assert same(copied(take(trainer, [images[:2]])), copied(take(other, [images[:2]])))


def test_what_is_added_to_the_features_is_asked_of_z(trainers, images):
    trainer, reference = trainers
    asked = []

    def perturb(z):
        asked.append(z.detach())
        return torch.ones_like(z)

    learner = trainer.learners["student"]
    learner.start_step(LR, micro_batches=1)
    with torch.no_grad():
        logits = learner(images, perturb)
        network = reference.networks.student
        z = network.encode(images)
        expected = network.decode(z + 1, images.shape[-2:])
    assert torch.equal(asked[0], z)
    assert torch.equal(logits, expected)
    assert not torch.equal(logits, network.decode(z, images.shape[-2:]))


def test_a_step_is_in_training_mode(tiny, scenes, images):
    trainer = Trainer(tiny(method="supervised"), scenes)
    trainer.networks.eval()
    network = take(trainer, [images])
    assert all(module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    counted = [m.num_batches_tracked for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [int(number) for number in counted] == [1] * len(counted)
