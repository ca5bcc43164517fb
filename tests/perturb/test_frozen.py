"""A search leaves the networks as they were."""

import pytest
import torch
from torch import nn

from psmt_viz.perturb import adversarial_perturbation, frozen


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout(0.5), nn.Conv2d(4, 3, 1)))
    net.train()
    net[1].eval()  # mixed modes must come back as they were
    net[0].bias.requires_grad_(False)
    net[0].weight.grad = torch.ones_like(net[0].weight)
    return net


def state(net: nn.Module) -> tuple:
    return (
        [module.training for module in net.modules()],
        [parameter.requires_grad for parameter in net.parameters()],
        [None if p.grad is None else p.grad.clone().tolist() for p in net.parameters()],
        {key: value.clone().tolist() for key, value in net.state_dict().items()},
    )


def test_modes_gradients_and_buffers_survive_a_search() -> None:
    net, z = network(), torch.randn(2, 3, 4, 4)
    before = state(net)
    with frozen(net):
        assert not any(module.training for module in net.modules())
        adversarial_perturbation(net, z)
    assert state(net) == before


def test_they_come_back_after_an_error_too() -> None:
    net = network()
    before = state(net)
    with pytest.raises(RuntimeError), frozen(net):
        raise RuntimeError
    assert state(net) == before


def test_without_it_batch_norm_would_move() -> None:
    net, z = network().train(), torch.randn(2, 3, 4, 4)
    before = state(net)
    adversarial_perturbation(net, z)
    assert state(net) != before
