"""Networks of torchvision and transformers whose parts meet late: cut, they still give what they give."""

import pytest
import torch
from torch import nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from psmt_viz.errors import UserError
from psmt_viz.models import adapt
from psmt_viz.models.adapters import unwrapped
from psmt_viz.models.fitted import FixedSize, OneChannel
from psmt_viz.models.resize import resize_unaligned
from psmt_viz.models.split_at import check, logits_of
from psmt_viz.perturb import adversarial_perturbation
from tests.models.small_networks import Own, settle

CLASSES, SIZE = 5, (64, 96)


def segformer():
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 24, 32],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=24,
        num_labels=CLASSES,
    )
    return SegformerForSemanticSegmentation(config)


def upernet():
    from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation

    backbone = ConvNextConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32], out_features=["stage1", "stage2", "stage3", "stage4"]
    )
    config = UperNetConfig(
        backbone_config=backbone, hidden_size=16, num_labels=CLASSES, use_auxiliary_head=False, pool_scales=[1, 2]
    )
    return UperNetForSemanticSegmentation(config)


def lraspp():
    return lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=CLASSES)


@pytest.fixture(scope="module", params=[lraspp, segformer, upernet], ids=lambda make: make.__name__)
def network(request):
    torch.manual_seed(0)
    return settle(request.param()).eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_both_sides_give_what_the_network_gives(network, images):
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = resize_unaligned(logits_of(network((images - mean) / std)), SIZE)
    assert expected.shape == (2, CLASSES, *SIZE) and expected.std() > 1e-3
    adapted = adapt(network)
    torch.testing.assert_close(adapted.decode(adapted.encode(images), SIZE), expected, rtol=1e-5, atol=1e-6)
    check(adapted)


def test_a_perturbation_has_its_norm_and_changes_the_prediction(network, images):
    adapted = adapt(network)
    z = adapted.encode(images).detach()
    found = adversarial_perturbation(lambda at: adapted.decode(at, SIZE), z, eps=2.0)
    torch.testing.assert_close(found.delta.flatten(1).norm(dim=1), torch.full((2,), 2.0), rtol=1e-6, atol=0)
    with torch.no_grad():
        assert not torch.equal(adapted.decode(z + found.delta, SIZE), adapted.decode(z, SIZE))


def test_what_wraps_a_network_is_taken_off():
    own = Own()
    assert unwrapped(nn.DataParallel(own)) is own
    assert unwrapped(torch.compile(nn.DataParallel(own))) is own
    assert adapt(torch.compile(own)).network is own


@torch.no_grad()
def test_one_logit_is_that_of_a_sigmoid(images):
    one = adapt(Own(1))
    two = OneChannel(one)
    z = two.encode(images)
    assert torch.equal(z, one.encode(images))
    logits = two.decode(z, SIZE)
    torch.testing.assert_close(logits.softmax(1)[:, 1:], one.decode(z, SIZE).sigmoid())
    assert two.multiple == one.multiple and two.fill == one.fill


@torch.no_grad()
def test_a_network_of_one_size_sees_resized_images(images):
    whole = adapt(Own())
    fixed = FixedSize(whole, 32)
    small = resize_unaligned(images, (32, 32))
    z = fixed.encode(images)
    assert torch.equal(z, whole.encode(small))
    assert torch.equal(fixed.decode(z, SIZE), resize_unaligned(whole.decode(z, (32, 32)), SIZE))


def test_an_unknown_network_is_told_the_way():
    with pytest.raises(UserError, match="say where to cut with --split-at MODULE"):
        adapt(nn.Conv2d(3, 2, 1))
