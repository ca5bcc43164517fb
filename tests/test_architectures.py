import importlib

import pytest

from psmt_viz.architectures import ARCHITECTURES
from psmt_viz.config import ModelConfig
from psmt_viz.errors import UserError

PUBLISHED = [name for name in ARCHITECTURES if name != "deeplabv3plus"]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_row_names_a_network_of_the_package(arch):
    module, name = ARCHITECTURES[arch].network.split(":")
    assert hasattr(importlib.import_module(f"psmt_viz.models.{module}"), name)


@pytest.mark.parametrize("name", ["resnet50", "resnet50c", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("arch", PUBLISHED)
def test_other_backbones_are_refused(arch, name):
    message = rf"--backbone resnet50s or resnet101s with --arch {arch}, got {name}; .*--arch deeplabv3plus"
    with pytest.raises(UserError, match=message):
        ModelConfig(arch=arch, backbone=name)


@pytest.mark.parametrize("arch", PUBLISHED)
def test_what_is_fixed_is_said_with_its_value(arch):
    for name, value in ARCHITECTURES[arch].fixed.items():
        assert getattr(ModelConfig(arch=arch, backbone="resnet50s"), name) == value
        other = {"output_stride": 8, "aspp_rates": (1, 2)}.get(name, 7)
        with pytest.raises(UserError, match=rf"--{name.replace('_', '-')} .* with --arch {arch}, got"):
            ModelConfig(**{"arch": arch, "backbone": "resnet50s", name: other})


def test_an_unknown_network_is_refused_with_the_names():
    with pytest.raises(UserError, match=rf"--arch one of {', '.join(ARCHITECTURES)}, got 'unet'"):
        ModelConfig(arch="unet")
