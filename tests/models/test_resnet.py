import pytest
import timm
import torch

from psmt_viz.models.resnet import LAYOUTS, ResNet

SMALL = ("test_resnet", "resnet18", "resnet50", "resnet50s")


@pytest.mark.parametrize("zero_init_last", [False, True])
@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("name", SMALL)
def test_a_network_of_one_seed_is_that_of_timm(name, stride, zero_init_last):
    torch.manual_seed(3)
    theirs = timm.create_model(name, features_only=True, output_stride=stride, zero_init_last=zero_init_last)
    next_theirs = torch.rand(2)
    torch.manual_seed(3)
    ours = ResNet(LAYOUTS[name], output_stride=stride, zero_init_last=zero_init_last)
    assert torch.equal(torch.rand(2), next_theirs)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    assert all(torch.equal(mine[key], other[key]) for key in mine)
    assert ours.channels == theirs.feature_info.channels()[1:]
    assert ours.strides == theirs.feature_info.reduction()[1:]

    images = torch.rand(2, 3, 70, 97)
    maps, expected = ours(images), theirs(images)[1:]
    assert all(torch.equal(one, other) for one, other in zip(maps, expected, strict=True))
    for each in (maps, expected):
        sum(values.square().sum() for values in each).backward()
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(parameter.grad, other.grad)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_has_the_sizes_and_the_scale_of_timm(name):
    with torch.device("meta"):
        theirs = timm.create_model(name, features_only=True, output_stride=16)
        ours = ResNet(LAYOUTS[name], output_stride=16)
    sizes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == sizes
    scale = timm.data.resolve_model_data_config(theirs)
    assert (LAYOUTS[name].mean, LAYOUTS[name].std) == (scale["mean"], scale["std"])
