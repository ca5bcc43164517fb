import pytest
import torch
from torch import nn

from psmt_viz.config import OptimConfig
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.train.optim import make_optimizer, set_lr

OPTIM = OptimConfig(lr=0.1, head_lr_factor=3.0, momentum=0.8, weight_decay=0.01)


@pytest.fixture(scope="module")
def network(tiny):
    torch.manual_seed(0)
    return DeepLabV3Plus(tiny().model, 7)


def settings(network, optimizer):
    """Parameter name -> its group."""
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    return {name: groups[id(parameter)] for name, parameter in network.named_parameters()}


def test_every_parameter_is_in_one_group(network):
    optimizer = make_optimizer(network, OPTIM)
    inside = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(inside) == sorted(id(parameter) for parameter in network.parameters())


def test_only_convolution_weights_decay_and_only_the_head_is_faster(network):
    groups = settings(network, make_optimizer(network, OPTIM))
    modules = dict(network.named_modules())
    seen = set()
    for name, group in groups.items():
        owner, _, kind = name.rpartition(".")
        decays = isinstance(modules[owner], nn.Conv2d | nn.Linear) and kind == "weight"
        in_head = not name.startswith("backbone.")
        assert group["weight_decay"] == (0.01 if decays else 0.0), name
        assert group["lr_factor"] == (3.0 if in_head else 1.0), name
        assert group["momentum"] == 0.8
        seen.add((in_head, decays))
    assert len(seen) == 4
    assert not settings(network, make_optimizer(network, OPTIM))["classifier.bias"]["weight_decay"]


def test_the_rate_is_set_for_each_group_with_its_factor(network):
    optimizer = make_optimizer(network, OPTIM)
    set_lr(optimizer, 0.02)
    for name, group in settings(network, optimizer).items():
        assert group["lr"] == pytest.approx(0.02 if name.startswith("backbone.") else 0.06), name
    set_lr(optimizer, 0.0)
    assert {group["lr"] for group in optimizer.param_groups} == {0.0}


def test_two_steps_of_momentum_and_decay_written_out(tiny):
    torch.manual_seed(0)
    network = DeepLabV3Plus(tiny().model, 7).double().eval()
    optimizer = make_optimizer(network, OPTIM)
    expected = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    velocity = {name: torch.zeros_like(values) for name, values in expected.items()}
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    for lr in (0.02, 0.005):
        set_lr(optimizer, lr)
        optimizer.zero_grad()
        network(images).square().mean().backward()
        for name, parameter in network.named_parameters():
            decay = 0.01 if parameter.ndim == 4 else 0.0
            velocity[name] = 0.8 * velocity[name] + parameter.grad + decay * expected[name]
            factor = 1.0 if name.startswith("backbone.") else 3.0
            expected[name] = expected[name] - lr * factor * velocity[name]
        optimizer.step()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-10, atol=1e-13, msg=name)
