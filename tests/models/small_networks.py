"""Networks whose numbers differ everywhere."""

import torch
from torch import nn

CLASSES = ("ground", "tree", "house", "road", "sky")
TEACHERS = ("teacher1", "teacher2")


def settle(network, seed=0):
    """Gives BatchNorm statistics, scales and shifts that no two channels share."""
    source = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.bias.data):
                values.copy_(torch.randn(values.shape, generator=source) * 0.2)
            for values in (module.running_var, module.weight.data):
                values.copy_(torch.rand(values.shape, generator=source) + 0.5)
    return network


def copied(network):
    """The state, apart from the network."""
    return {name: values.clone() for name, values in network.state_dict().items()}


def same(first, second):
    """Whether two states are equal bit by bit."""
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


class Own(nn.Module):
    """A network with a split point, whose logits are a quarter of the image's size."""

    def __init__(self, classes=4):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 6, 4, stride=4), nn.Conv2d(6, classes, 1)

    def encode(self, images):
        return self.body(images).relu()

    def decode(self, z, size):
        self.asked = size
        return self.head(z)


class Unsplit(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 6, 4, stride=4), nn.Conv2d(6, 4, 1)


def through(network, images):
    return network.body(images)


def out(network, z, size):
    return network.head(z)
