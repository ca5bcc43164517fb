import copy

import pytest
import torch

from psmt_viz.errors import UserError
from psmt_viz.models import Adapted
from tests.models.small_networks import Own, Unsplit, out, through


def test_functions_get_the_network_of_the_copy():
    adapted, images = Adapted(Unsplit(), encode=through, decode=out, multiple=4), torch.rand(1, 3, 8, 8)
    wide = copy.deepcopy(adapted).double()
    torch.testing.assert_close(wide(images.double()).float(), adapted(images))
    with torch.no_grad():
        adapted.network.body.weight.zero_()
        adapted.network.body.bias.zero_()
    assert not adapted.encode(images).any()
    assert wide.encode(images.double()).any()


def test_the_scale_of_images_is_applied_and_travels_with_the_weights():
    images = torch.rand(2, 3, 8, 8)
    scale = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 2.0)}
    adapted = Adapted(Unsplit(), encode=lambda network, images: images, decode=out, **scale)
    expected = torch.stack(
        [(images[:, 0] - 0.1) * 2, (images[:, 1] - 0.2) * 4, (images[:, 2] - 0.3) / 2],
        dim=1,
    )
    torch.testing.assert_close(adapted.encode(images), expected)
    assert {"mean", "std"} <= set(adapted.state_dict())
    plain = Adapted(Unsplit(), encode=lambda network, images: images, decode=out)
    assert torch.equal(plain.encode(images), images)
    assert {key.split(".")[0] for key in plain.state_dict()} == {"network"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"Unsplit\.encode, got none; give Unsplit the method, or pass Adapted\(network, encode="),
        ({"encode": through}, r"Unsplit\.decode, got none"),
        ({"multiple": 0}, r"multiple a whole number from 1, got 0"),
        ({"multiple": 8.0}, r"multiple a whole number from 1, got 8\.0"),
        ({"mean": (0, 0, 0)}, r"mean and std of 3 values each, or neither, got \(0, 0, 0\) and None; give both"),
        ({"mean": (0, 0), "std": (1, 1)}, r"mean and std of 3 values each, or neither, got \(0, 0\)"),
        ({"mean": (0, 0, 0), "std": (1, 0, 1)}, r"std above 0, got \(1, 0, 1\)"),
    ],
)
def test_arguments_that_cannot_be(options, message):
    functions = {"encode": through, "decode": out} if {"multiple", "mean"} & options.keys() else {}
    with pytest.raises(UserError, match=message):
        Adapted(Unsplit(), **functions, **options)


def test_a_class_is_no_network():
    with pytest.raises(UserError, match=r"a torch\.nn\.Module as network, got type; pass the network itself"):
        Adapted(Own)


@pytest.mark.parametrize(
    ("z", "got"),
    [
        (lambda images: [images, images], "list of 2"),
        (lambda images: {"out": images, "aux": images}, "dict of out, aux"),
        (lambda images: images.flatten(2), r"shape \(1, 3, 64\)"),
        (lambda images: None, "NoneType"),
    ],
)
def test_what_is_not_one_tensor_of_four_axes_is_refused(z, got):
    images = torch.rand(1, 3, 8, 8)
    with pytest.raises(UserError, match=rf"z of encode as one tensor \(B, C, h, w\), got {got}; pick or reshape it"):
        Adapted(Unsplit(), encode=lambda network, images: z(images), decode=out).encode(images)
    adapted = Adapted(Unsplit(), encode=through, decode=lambda network, features, size: z(images))
    with pytest.raises(UserError, match=rf"logits of decode as one tensor \(B, K, H, W\), got {got}"):
        adapted.decode(adapted.encode(images), (8, 8))


def test_layers_have_the_names_of_the_network_inside():
    adapted = Adapted(Own())
    assert adapted.layers() == {"body": adapted.network.body, "head": adapted.network.head}
