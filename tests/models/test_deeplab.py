import pytest
import torch
from torch.nn import functional as F

from psmt_viz.config import ModelConfig
from psmt_viz.models.deeplab import DeepLabV3Plus
from tests.models.small_networks import settle


@pytest.fixture(scope="module")
def network(config):
    torch.manual_seed(0)
    return settle(DeepLabV3Plus(config, 5)).double().eval()


def block(values, state, name, *, padding, dilation=1):
    """Convolution, BatchNorm and ReLU from the weights alone."""
    conv, norm = (name + end for end in (".0", ".1"))
    values = F.conv2d(values, state[f"{conv}.weight"], padding=padding, dilation=dilation)
    mean, var, scale, shift = (
        state[f"{norm}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return ((values - mean) / (var + 1e-5).sqrt() * scale + shift).clamp(min=0)


def stretched(values, size):
    """Bilinear with aligned corners as two matrix products."""
    for axis, length in ((-2, size[0]), (-1, size[1])):
        old = values.shape[axis]
        matrix = torch.zeros(length, old, dtype=values.dtype)
        for row in range(length):
            place = row * (old - 1) / (length - 1)
            low = min(int(place), old - 2)
            matrix[row, low], matrix[row, low + 1] = 1 - (place - low), place - low
        values = torch.tensordot(values, matrix, dims=([axis], [1])).movedim(-1, axis)
    return values


@torch.no_grad()
def test_encode_and_decode_against_the_weights_written_out(network, config, images):
    images, state = images.double(), network.state_dict()
    low, high = network.backbone(images)
    branches = [block(high, state, "aspp.local.0", padding=0)]
    for index, rate in enumerate(config.aspp_rates, start=1):
        branches.append(block(high, state, f"aspp.local.{index}", padding=rate, dilation=rate))
    pooled = high.mean(dim=(2, 3), keepdim=True)
    pooled = F.conv2d(pooled, state["aspp.globally.1.weight"], state["aspp.globally.1.bias"]).clamp(min=0)
    context = block(torch.cat([*branches, pooled.expand_as(branches[0])], 1), state, "aspp.fuse", padding=0)
    z = torch.cat([stretched(context, low.shape[-2:]), block(low, state, "reduce", padding=0)], 1)
    torch.testing.assert_close(network.encode(images), z, rtol=1e-9, atol=1e-11)
    assert z[:, :10].abs().mean() > 1e-3 and z[:, 10:].abs().mean() > 1e-3

    features = block(block(z, state, "decoder.0", padding=1), state, "decoder.1", padding=1)
    logits = F.conv2d(features, state["classifier.weight"], state["classifier.bias"])
    for size in ((65, 49), (33, 20)):
        torch.testing.assert_close(network.decode(z, size), stretched(logits, size), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("height", "width"), [(64, 48), (65, 49), (33, 40)])
def test_shapes_and_the_split_point(network, config, height, width):
    images = torch.rand(2, 3, height, width, dtype=torch.float64)
    with torch.no_grad():
        z = network.encode(images)
        assert z.shape == (2, config.aspp_channels + config.low_channels, -(-height // 4), -(-width // 4))
        assert torch.equal(network(images), network.decode(z, (height, width)))
        assert network.decode(z, (7, 9)).shape == (2, 5, 7, 9)


@pytest.mark.parametrize(("aspp", "low"), [(256, 48), (7, 3)])
def test_z_has_the_channels_of_both_its_parts(config, aspp, low):
    other = ModelConfig(**{**vars(config), "aspp_channels": aspp, "low_channels": low})
    z = DeepLabV3Plus(other, 2).eval().encode(torch.rand(1, 3, 32, 32))
    assert z.shape == (1, aspp + low, 8, 8)


@pytest.mark.parametrize("side", [32, 48])
def test_one_image_is_enough_to_train(config, side):
    network = DeepLabV3Plus(config, 5).train()
    network(torch.rand(1, 3, side, side)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert sum(bool(parameter.grad.any()) for parameter in network.parameters()) > 10


def test_heads_and_backbone_share_out_the_parameters(config):
    network = DeepLabV3Plus(config, 5)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    head = {names[id(parameter)] for parameter in network.head_parameters()}
    assert head == {name for name in names.values() if not name.startswith("backbone.")}
    assert 0 < len(head) < len(names)


def test_the_input_scale_travels_with_the_weights(config):
    network = DeepLabV3Plus(config, 5)
    assert {"backbone.mean", "backbone.std"} <= set(network.state_dict())
    other = DeepLabV3Plus(config, 5)
    other.backbone.mean.fill_(9)
    network.load_state_dict(other.state_dict())
    assert (network.backbone.mean == 9).all()
