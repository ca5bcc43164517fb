"""A layer between z and logits, by name."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models import Adapted
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.probes.layers import decoded_layer, find_layer


class Odd(nn.Module):
    """A head that is used twice, one that is not used, and a rectifier in place after the one that is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.twice, self.flat, self.act = nn.Identity(), nn.Flatten(), nn.ReLU(inplace=True)

    def encode(self, images: Tensor) -> Tensor:
        return self.body(images)

    def decode(self, z: Tensor, size: Any) -> Tensor:
        self.flat(z)
        return self.twice(self.act(self.head(self.twice(z))))


@pytest.fixture
def odd() -> Adapted:
    torch.manual_seed(0)
    return Adapted(Odd(), multiple=4).eval()


@torch.no_grad()
def test_layers_of_a_run(networks: Networks) -> None:
    student: Any = networks.student
    z = encode_whole(student, torch.rand(2, 3, 45, 61))
    assert decoded_layer(student, "z", z, (45, 61)) is z
    features = student.decoder(z)
    assert torch.equal(decoded_layer(student, "decoder", z, (45, 61)), features)
    assert torch.equal(decoded_layer(student, "logits", z, (45, 61)), student.classifier(features))
    assert torch.equal(decoded_layer(student, "decoder.0", z, (45, 61)), student.decoder[0](z))
    assert find_layer(student, "backbone.body.layer4") is student.backbone.body.layer4


@torch.no_grad()
def test_a_layer_before_one_that_works_in_place_is_seen_as_it_is(odd: Adapted) -> None:
    z = odd.encode(torch.rand(1, 3, 8, 8))
    own: Any = odd.network
    found = decoded_layer(odd, "head", z, (8, 8))
    assert torch.equal(found, own.head(z))
    assert (found < 0).any()


@torch.no_grad()
def test_where_no_layer_is_called_logits_they_are_what_decode_returns(odd: Adapted) -> None:
    z = encode_whole(odd, torch.rand(1, 3, 7, 9))
    assert torch.equal(decoded_layer(odd, "logits", z, (7, 9)), decode_whole(odd.decode, z, (7, 9), multiple=4))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("body", r"one map \(B, C, h, w\) between z and logits, got body, used 0 times"),
        ("twice", r"got twice, used 2 times; choose z or another"),
        ("flat", r"got shape \(1, 256\) of flat"),
        ("haed", r"a module of the student, got 'haed'; did you mean head"),
    ],
)
def test_layers_that_cannot_be_seen(odd: Adapted, layer: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        decoded_layer(odd, layer, torch.rand(1, 4, 8, 8), (8, 8))
    assert not any(module._forward_hooks for module in odd.modules())
