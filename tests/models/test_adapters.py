import copy

import pytest
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large, deeplabv3_resnet50, fcn_resnet50

from psmt_viz.errors import UserError
from psmt_viz.models import Adapted, adapt
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.models.inference import decode_whole, encode_whole
from tests.models.small_networks import Own, Unsplit, settle

CLASSES = 5


def torchvision_network():
    return deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)


def small(kind, **options):
    return kind("resnet18", encoder_weights=None, classes=CLASSES, **options)


def transformer():
    return smp.DPT(
        "tu-vit_tiny_patch16_224",
        encoder_weights=None,
        encoder_depth=2,
        decoder_intermediate_channels=(8, 16),
        decoder_fusion_channels=16,
        dynamic_img_size=True,
        classes=CLASSES,
    )


FOREIGN = {
    "torchvision": (torchvision_network, lambda net: net.classifier[1], 8, (256, 8)),
    "torchvision FCN": (
        lambda: fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES),
        lambda net: net.classifier,
        8,
        (2048, 8),
    ),
    "smp DeepLabV3Plus": (lambda: small(smp.DeepLabV3Plus), lambda net: net.decoder.block2, 16, (304, 4)),
    "smp DeepLabV3Plus, stride 8": (
        lambda: small(smp.DeepLabV3Plus, encoder_output_stride=8),
        lambda net: net.decoder.block2,
        8,
        (304, 4),
    ),
    "smp Unet": (lambda: small(smp.Unet), lambda net: net.segmentation_head, 32, (16, 1)),
    "smp FPN": (lambda: small(smp.FPN), lambda net: net.segmentation_head, 32, (128, 4)),
    "smp with labels beside": (
        lambda: small(smp.Unet, aux_params={"classes": 2}),
        lambda net: net.segmentation_head,
        32,
        (16, 1),
    ),
    "smp DPT": (transformer, lambda net: net.segmentation_head, 16, (16, 2)),
}
"""Name -> how it is made, the module whose input z is, multiple, channels and stride of z."""


@pytest.fixture(scope="module", params=list(FOREIGN))
def foreign(request):
    torch.manual_seed(0)
    make, *facts = FOREIGN[request.param]
    return settle(make()).eval(), *facts


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def scaled(images):
    """As networks trained on ImageNet expect them."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (images - mean) / std


def logits_of(output):
    if isinstance(output, dict):
        return output["out"]
    return output[0] if isinstance(output, tuple) else output


@torch.no_grad()
def test_the_composition_is_the_networks_own_forward(foreign, images):
    network, *_ = foreign
    expected = logits_of(network(scaled(images)))
    assert expected.shape == (2, CLASSES, 64, 96)
    assert expected.std() > 1e-2
    adapted = adapt(network)
    torch.testing.assert_close(adapted.decode(adapted.encode(images), (64, 96)), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(adapted(images), expected, rtol=1e-6, atol=1e-6)
    # The scale of the images counts, so its loss would be seen.
    assert not torch.allclose(logits_of(network(images)), expected, rtol=1e-2, atol=1e-2)


@torch.no_grad()
def test_z_is_what_the_module_behind_a_split_point_takes(foreign, images):
    network, behind, multiple, (channels, stride) = foreign
    taken = []
    hook = behind(network).register_forward_pre_hook(lambda module, inputs: taken.append(inputs[0]))
    network(scaled(images))
    hook.remove()
    adapted = adapt(network)
    z = adapted.encode(images)
    torch.testing.assert_close(z, taken[0], rtol=1e-6, atol=1e-6)
    assert z.shape == (2, channels, 64 // stride, 96 // stride)
    assert adapted.multiple == multiple


@torch.no_grad()
def test_images_of_any_size_go_through_the_stretch(foreign):
    adapted, images = adapt(foreign[0]), torch.rand(1, 3, 45, 70)
    z = encode_whole(adapted, images)
    assert decode_whole(adapted.decode, z, (45, 70), multiple=adapted.multiple).shape == (1, CLASSES, 45, 70)


def test_the_gradient_flows_from_logits_to_z(foreign, images):
    adapted = adapt(foreign[0])
    z = adapted.encode(images).detach().requires_grad_()
    (slope,) = torch.autograd.grad(adapted.decode(z, (64, 96)).square().sum(), z)
    assert torch.isfinite(slope).all()
    assert (slope.flatten(2).abs().amax(dim=2) > 0).double().mean() > 0.9


def test_copies_in_float64_are_their_own(foreign, images):
    network, *_ = foreign
    adapted = adapt(network)
    wide = copy.deepcopy(adapted).double()
    with torch.no_grad():
        logits = wide(images.double())
        assert logits.dtype == torch.float64
        torch.testing.assert_close(logits.float(), adapted(images), rtol=1e-3, atol=1e-3)
        before = adapted(images)
        for parameter in wide.parameters():
            parameter.zero_()
        assert torch.equal(adapted(images), before)
        assert not wide(images.double()).any()
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


@torch.no_grad()
def test_torchvisions_other_backbone(images):
    torch.manual_seed(0)
    network = settle(deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=CLASSES)).eval()
    torch.testing.assert_close(adapt(network)(images), network(scaled(images))["out"], rtol=1e-6, atol=1e-6)


def test_a_network_with_a_split_point_serves_as_it_is():
    network, images = Own(), torch.rand(2, 3, 16, 24)
    adapted = adapt(network)
    assert isinstance(adapted, Adapted)
    assert adapted.network is network
    assert adapted.multiple == 8
    assert torch.equal(adapted.encode(images), network.encode(images))
    logits = adapted(images)
    assert network.asked == (16, 24)
    assert torch.equal(
        logits, F.interpolate(network.head(network.encode(images)), (16, 24), mode="bilinear", align_corners=False)
    )
    assert torch.equal(adapted.decode(network.encode(images), (4, 6)), network.head(network.encode(images)))


def test_a_networks_own_multiple_is_heeded():
    network = Own()
    network.multiple = 14
    assert adapt(network).multiple == 14


def test_ones_own_split_point_in_a_library_class_comes_first():
    class Mine(smp.Unet):
        def encode(self, images):
            return self.encoder(images)[-1]

        def decode(self, z, size):
            return z

    images = torch.rand(1, 3, 32, 32)
    network = Mine("resnet18", encoder_weights=None).eval()
    assert torch.equal(adapt(network).encode(images), network.encoder(images)[-1])


def test_what_has_a_split_point_already_is_left_alone(config):
    ours = DeepLabV3Plus(config, 5)
    assert adapt(ours) is ours
    adapted = Adapted(Own())
    assert adapt(adapted) is adapted


def test_networks_without_a_known_split_point():
    with pytest.raises(UserError, match=r"encode and decode, or .*, got Unsplit; .*--split-at.* pass Adapted\("):
        adapt(Unsplit())


@pytest.mark.parametrize("kind", [smp.Unet, smp.DeepLabV3Plus])
def test_networks_that_end_in_an_activation_have_no_logits(kind):
    with pytest.raises(UserError, match=rf"{kind.__name__} with logits, got activation Sigmoid; .*activation=None"):
        adapt(small(kind, activation="sigmoid"))


def test_the_encoder_of_a_foreign_network_is_its_backbone(foreign):
    network, *_ = foreign
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    head = {names[id(parameter)].split(".")[0] for parameter in adapt(network).head_parameters()}
    assert head == {name.split(".")[0] for name in names.values()} - {"encoder", "backbone"}
    assert len(Adapted(Own()).head_parameters()) == 4
