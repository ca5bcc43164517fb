import math

import pytest

from psmt_viz.config import FIELDS, Config
from psmt_viz.errors import UserError
from psmt_viz.presets import configure

WRONG = {
    "arch": ["unet"],
    "output_stride": [4, 0],
    "aspp_channels": [0],
    "pair": ["abc", "(a"],
    "mask_values": [(0,), (1, 1), (0, -1), (0, 1 << 16)],
    "ignore_index": [-1, 1 << 16],
    "aspp_rates": [(6, 0)],
    "low_channels": [0],
    "decoder_channels": [-1],
    "crop": [31],
    "long_side": [(200, 100), (0, 100)],
    "base_size": [(1, 100)],
    "jitter": [(1.1, 0, 0, 0), (0, -0.1, 0, 0), (0, 0, 0, 0.6)],
    "window": [31, 0],
    "window_stride": [0, 1.1, math.nan],
    "lr": [0, math.nan],
    "lr_batch": [0],
    "head_lr_factor": [0],
    "momentum": [-0.1],
    "weight_decay": [-1e-4],
    "power": [0],
    "seed": [-1],
    "workers": [-1],
    "cache": ["of", "ON"],
    "precision": ["fp64"],
    "accumulate": [0],
    "val_every": [0],
    "val_images": [0, -1],
    "checkpoint_steps": [0],
    "checkpoint_minutes": [0, math.nan, math.inf],
    "keep_last": [-1],
    "log_every": [0],
}
# Judged by the data set or the network that they name.
TEXTS = {"data", "split", "classes", "labeled_list", "unlabeled_list", "val_list", "backbone"}
TEXTS |= {"image_dir", "mask_dir", "palette"}


def test_every_number_and_choice_has_a_bound():
    here = {name: value for name, value in Config().flat().items() if FIELDS[name] != "method"}
    switches = {name for name, value in here.items() if isinstance(value, bool)}
    assert sorted([*WRONG, *TEXTS, *switches]) == sorted(here)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_bounds_name_the_flag_and_the_value(name, value):
    with pytest.raises(UserError) as caught:
        configure("scenes", {name: value})
    flag = "--" + name.replace("_", "-")
    assert str(caught.value).startswith(f"expected {flag} ")
    assert f"got {value!r}; " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("output_stride", 8),
        ("output_stride", 32),
        ("crop", 32),
        ("window", 32),
        ("window", None),
        ("window_stride", 1),
        ("lr_batch", None),
        ("accumulate", 1),
        ("checkpoint_steps", 1),
        ("keep_last", 0),
        ("long_side", (100, 100)),
        ("jitter", (1, 1, 1, 0.5)),
        ("jitter", (0, 0, 0, 0)),
        ("momentum", 0),
        ("weight_decay", 0),
    ],
)
def test_the_bounds_themselves_are_allowed(name, value):
    assert configure("scenes", {name: value}).flat()[name] == value


def test_the_authors_network_has_the_authors_widths():
    assert configure("voc", {"data": "."}).model.aspp_channels == 256
    for name, value in {"aspp_channels": 64, "aspp_rates": (2, 4, 6), "low_channels": 16, "output_stride": 8}.items():
        flag = name.replace("_", "-")
        with pytest.raises(UserError, match=rf"--{flag} .* with --arch psmt-deeplabv3plus, got"):
            configure("voc", {"data": ".", name: value})
