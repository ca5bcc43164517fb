"""Any network is cut at a module: both sides give what the network gives, or it is told what gets past the cut."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from psmt_viz.errors import UserError
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.split_at import check, logits_of, split_at

CLASSES = 4


def block(channels, out):
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU())


class UNet(nn.Module):
    """Two levels, with skip connections."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.bottom = block(3, 8), block(8, 12), block(12, 16)
        self.up2, self.up1, self.head = block(28, 12), block(20, 8), nn.Conv2d(8, CLASSES, 1)

    def forward(self, images):
        first = self.down1(images)
        second = self.down2(F.max_pool2d(first, 2))
        low = F.interpolate(self.bottom(F.max_pool2d(second, 2)), scale_factor=2)
        mid = self.up2(torch.cat([low, second], dim=1))
        last = self.up1(torch.cat([F.interpolate(mid, scale_factor=2), first], dim=1))
        return {"out": F.interpolate(self.head(last), size=images.shape[-2:])}


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = UNet()
    made(torch.rand(8, 3, 32, 32))  # statistics of BatchNorm
    return made.eval()


@pytest.mark.parametrize("name", ["up1", "up1.0", "head", "up1.2"])
def test_both_sides_give_what_the_network_gives(network, name):
    cut = split_at(network, name, multiple=4)
    check(cut)
    images = torch.rand(3, 3, 24, 36)
    with torch.no_grad():
        z = cut.encode(images)
        torch.testing.assert_close(cut.decode(z, (24, 36)), network(images)["out"], rtol=0, atol=0)
        # Again, of another size and another network: nothing of before is kept.
        more = torch.rand(2, 3, 16, 16)
        torch.testing.assert_close(cut.decode(cut.encode(more), (16, 16)), network(more)["out"], rtol=0, atol=0)
    assert z.shape[:2] == (3, {"head": CLASSES}.get(name, 8))
    other = copy.deepcopy(cut)
    with torch.no_grad():
        other.network.head.weight.mul_(2)
        torch.testing.assert_close(
            other.decode(other.encode(images), (24, 36)), other.network(images)["out"], rtol=0, atol=0
        )
        torch.testing.assert_close(cut.decode(z, (24, 36)), network(images)["out"], rtol=0, atol=0)


def test_stages_before_the_cut_are_not_run_again(network):
    cut, calls = split_at(network, "up1"), []
    network.bottom[0].register_forward_hook(lambda *_: calls.append(1))
    z = cut.encode(torch.rand(1, 3, 16, 16)).detach()
    for _ in range(5):
        cut.decode(z, (16, 16))
    assert len(calls) == 2  # for z, and once for the constant
    assert not hasattr(network.bottom, "__wrapped__") and "forward" not in vars(network.bottom)


def test_gradients_go_through_the_decoder_alone(network):
    cut = split_at(network, "up1")
    images = torch.rand(2, 3, 16, 16)
    z = cut.encode(images).detach().requires_grad_()
    cut.decode(z, (16, 16)).square().sum().backward()
    own = z.detach().clone().requires_grad_()
    F.interpolate(network.head(own), size=(16, 16)).square().sum().backward()
    torch.testing.assert_close(z.grad, own.grad, rtol=0, atol=0)
    check_direction = torch.func.jvp(lambda at: cut.decode(at, (16, 16)), (own.detach(),), (torch.ones_like(own),))[1]
    assert check_direction.abs().sum() > 0


@pytest.mark.parametrize(("name", "past"), [("bottom", "down1, down2|down2, down1"), ("up2", "down1")])
def test_what_gets_past_the_cut_is_named(network, name, past):
    with pytest.raises(UserError, match=rf"a decoder after {name} that takes its output alone, got .*({past}) too"):
        check(split_at(network, name))


def test_a_module_that_is_not_there_or_not_called(network):
    with pytest.raises(UserError, match=r"--split-at a module of UNet, got 'up_1'; did you mean up1\?"):
        split_at(network, "up_1")
    network.spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(UserError, match="that the forward pass of UNet calls, got spare"):
        check(split_at(network, "spare"))


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat, self.head = nn.Flatten(2), nn.Conv1d(3, CLASSES, 1)

    def forward(self, images):
        return self.head(self.flat(images)).unflatten(2, images.shape[-2:])


def test_features_of_three_axes_are_refused():
    with pytest.raises(UserError, match=r"one tensor \(B, C, h, w\) as output, got shape \(1, 3, 4096\)"):
        check(split_at(Tokens(), "flat"))


def test_before_a_module(network):
    cut = split_at(network, "head", before=True)
    check(cut)
    images = torch.rand(1, 3, 20, 20)
    after = split_at(network, "up1.2")
    torch.testing.assert_close(cut.encode(images), after.encode(images), rtol=0, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(cut.decode(cut.encode(images), (20, 20)), network(images)["out"], rtol=0, atol=0)


def test_whole_images_of_any_size(network):
    cut = split_at(network, "up1", multiple=4)
    images = torch.rand(1, 3, 21, 30)
    with torch.no_grad():
        assert decode_whole(cut.decode, encode_whole(cut, images), (21, 30), multiple=4).shape == (1, CLASSES, 21, 30)


def test_logits_are_found_in_what_a_forward_pass_gives():
    logits = torch.rand(1)
    for output in (
        logits,
        {"out": logits, "aux": 0},
        {"logits": logits},
        (logits, 1),
        SimpleNamespace(logits=logits),
    ):
        assert logits_of(output) is logits
