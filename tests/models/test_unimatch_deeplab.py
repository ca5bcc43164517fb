"""UniMatch's network against outputs of its own code (`golden_unimatch_deeplabv3plus.json`)."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from psmt_viz.config import ModelConfig
from psmt_viz.models.build import build
from tests.authors import filled
from tests.unimatch import shapes

GOLDEN = json.loads((Path(__file__).parent / "golden_unimatch_deeplabv3plus.json").read_text())
"""Backbone -> the rule of its weights and, by the input's size, what comes out."""


def made(backbone, classes=21):
    return build(ModelConfig(arch="unimatch-deeplabv3plus", backbone=backbone, pretrained=False), classes)


@pytest.fixture(scope="module", params=GOLDEN)
def golden(request):
    """A network with the weights of the rule that takes images in any scale, and what it must give."""
    wanted = GOLDEN[request.param]
    network = made(request.param).eval()
    state = filled(shapes(request.param), wanted["seed_base"])
    own = {key.replace("backbone.", "backbone.body.", 1): values for key, values in state.items()}
    scale = {"backbone.mean": torch.zeros(1, 3, 1, 1), "backbone.std": torch.ones(1, 3, 1, 1)}
    network.load_state_dict(own | scale)
    return network, wanted


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return made("resnet50s")


@pytest.mark.parametrize("backbone", GOLDEN)
def test_keys_and_shapes_are_unimatchs_in_their_order(backbone):
    lines = "".join(f"{key} {list(shape)}\n" for key, shape in shapes(backbone).items())
    assert len(shapes(backbone)) == GOLDEN[backbone]["keys"]
    assert hashlib.sha256(lines.encode()).hexdigest() == GOLDEN[backbone]["sha256"]
    with torch.device("meta"):
        own = made(backbone).state_dict()
    assert {
        key.replace("backbone.body.", "backbone."): tuple(values.shape)
        for key, values in own.items()
        if key not in ("backbone.mean", "backbone.std")
    } == shapes(backbone)


@torch.no_grad()
@pytest.mark.parametrize("size", ["65x97", "72x104", "67x323"])
def test_the_golden_outputs_of_unimatchs_network(golden, size):
    """Sides that are 1 mod 4, even, and 3 mod 4 with all rates on real pixels, so that each mistake shows somewhere."""
    network, wanted = golden[0], golden[1]["outputs"][size]
    height, width = map(int, size.split("x"))
    images = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(wanted["seed"]))
    z = network.encode(images)
    assert list(z.shape) == wanted["z_shape"]
    absolute = float(z.double().abs().sum())
    assert absolute / z.numel() == pytest.approx(wanted["z_abs_mean"], rel=1e-5)
    for part, total in zip((z[:, :48], z[:, 48:]), wanted["z_part_sums"], strict=True):
        assert float(part.double().sum()) == pytest.approx(total, abs=1e-5 * absolute)
    logits = network.decode(z, (height, width))
    assert list(logits.shape) == wanted["logits_shape"]
    largest = wanted["logits_abs_max"]
    assert float(logits.abs().max()) == pytest.approx(largest, rel=1e-5)
    for (row, column), values in zip(wanted["pixels"], wanted["logits_at"], strict=True):
        assert (logits[0, :, row, column] - torch.tensor(values)).abs().max() < 1e-5 * largest, (row, column)


@pytest.mark.parametrize("backbone", GOLDEN)
def test_the_last_stage_has_no_stride_and_its_first_block_is_not_dilated(backbone):
    with torch.device("meta"):
        body = made(backbone).backbone.body
    last = [block.conv2 for block in body.layer4]
    assert [(c.dilation, c.padding, c.stride) for c in last] == [((r, r), (r, r), (1, 1)) for r in (1, 2, 2)]
    assert {block.conv2.dilation for block in body.layer3} == {(1, 1)}


@torch.no_grad()
@pytest.mark.parametrize("size", [(41, 33), (40, 48)])
def test_shapes_and_the_split_point(network, size):
    network.eval()
    images = torch.rand(1, 3, *size)
    z = network.encode(images)
    assert z.shape == (1, 304, -(-size[0] // 4), -(-size[1] // 4))
    assert torch.equal(network(images), network.decode(z, size))
    assert network(images).shape == (1, 21, *size)
    assert network.multiple == 1
    layers = network.layers()
    assert (layers["decoder"], layers["logits"]) == (network.fuse, network.classifier)
    assert layers["decoder"](z).shape == (1, 256, *z.shape[-2:])


def test_one_image_trains_every_parameter(network):
    network.train().zero_grad(set_to_none=True)
    network(torch.rand(1, 3, 65, 49)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    head = {names[id(parameter)].split(".")[0] for parameter in network.head_parameters()}
    assert head == {"head", "reduce", "fuse", "classifier"}
    network.zero_grad(set_to_none=True)
