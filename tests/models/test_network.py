import pytest
import torch
from torch import nn

from psmt_viz.models import Adapted
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.models.network import Network


class Own(Network):
    """A network of a backbone and a head."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Conv2d(3, 6, 4, stride=4), nn.Sequential(nn.ReLU(), nn.Conv2d(6, 5, 1))

    def encode(self, images):
        return self.backbone(images)

    def decode(self, z, size):
        return nn.functional.interpolate(self.head(z), size=tuple(size))


def test_forward_is_decode_after_encode():
    network, images = Own(), torch.rand(2, 3, 16, 24)
    assert torch.equal(network(images), network.decode(network.encode(images), (16, 24)))
    assert network(images).shape == (2, 5, 16, 24)


def test_both_sides_are_needed():
    class Half(Network):
        def encode(self, images):
            return images

    with pytest.raises(TypeError, match=r"abstract method .?decode"):
        Half()


def test_what_is_not_the_backbone_is_the_head():
    network = Own()
    assert {id(each) for each in network.head_parameters()} == {id(each) for each in network.head.parameters()}


def test_layers_are_modules_by_name(config):
    network = Own()
    assert network.layers() == {"backbone": network.backbone, "head": network.head, "head.0": network.head[0]} | {
        "head.1": network.head[1]
    }
    deeplab = DeepLabV3Plus(config, 5)
    layers = deeplab.layers()
    assert (layers["decoder"], layers["logits"]) == (deeplab.decoder, deeplab.classifier)
    assert layers["backbone.body.layer1"] is deeplab.backbone.body.layer1


def test_around_an_image_lies_what_the_encoder_subtracts(config):
    assert Own().fill == 0.0
    deeplab = DeepLabV3Plus(config, 5)
    assert torch.equal(deeplab.fill, deeplab.backbone.mean[0])
    split = {"encode": lambda net, images: images, "decode": lambda net, z, size: z}
    assert Adapted(nn.Identity(), **split).fill == 0.0
    scaled = Adapted(nn.Identity(), mean=(0.1, 0.2, 0.3), std=(1, 1, 1), **split)
    assert torch.equal(scaled.fill, torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1))
