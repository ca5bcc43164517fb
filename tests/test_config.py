import dataclasses
import json
import math

import docstring_parser
import pytest

from psmt_viz.config import FIELDS, GROUPS, PRESETS, Config, configure
from psmt_viz.errors import UserError


def resolve(preset, **values):
    return configure(preset, {"data": "a folder", **values})


def flat(config):
    return {name: getattr(getattr(config, group), name) for group in GROUPS for name in config.as_dict()[group]}


def test_flat_names_are_unique_over_the_groups():
    every = [field.name for group in GROUPS.values() for field in dataclasses.fields(group)]
    assert sorted(every) == sorted(FIELDS)
    assert {"preset", "recipe", "out", "config", "resume", "device"}.isdisjoint(every)  # flags of `train` itself
    groups = {field.name for field in dataclasses.fields(Config)} - {"preset", "recipe"}
    assert groups == set(GROUPS)


@pytest.mark.parametrize("group", GROUPS)
def test_every_field_says_what_it_means(group):
    told = {each.arg_name: each.description for each in docstring_parser.parse_from_object(GROUPS[group]).params}
    assert set(told) == {field.name for field in dataclasses.fields(GROUPS[group])}
    for name, text in told.items():
        assert text is not None, name
        assert len(text) > 12 and text.endswith("."), name
    assert len(set(told.values())) == len(told)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_resolve_and_set_what_they_say(preset):
    config = resolve(preset)
    assert config.preset == preset
    got = flat(config)
    assert set(got) == set(FIELDS)
    for name, value in {**PRESETS[preset], "data": "a folder"}.items():
        assert got[name] == value, name
    untouched = flat(Config())
    for name in set(FIELDS) - set(PRESETS[preset]) - {"data"}:
        assert got[name] == untouched[name], name


def test_given_values_win_over_the_preset():
    assert PRESETS["scenes"]["crop"] != 64
    config = configure("scenes", {"crop": 64, "lr": 0.5})
    assert (config.views.crop, config.optim.lr) == (64, 0.5)
    assert config.method.epochs == PRESETS["scenes"]["epochs"]


def test_replacing_leaves_the_original_and_everything_else():
    before = configure("scenes", {})
    after = before.replace({"eps": 7.0, "seed": 4})
    changed = {name for name in FIELDS if flat(before)[name] != flat(after)[name]}
    assert changed == {"eps", "seed"}
    assert (after.method.eps, after.system.seed, after.preset) == (7.0, 4, "scenes")
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.method.eps = 3.0


@pytest.mark.parametrize("preset", PRESETS)
def test_json_round_trip(preset):
    config = resolve(preset, steps_per_epoch=3, classes=("a", "b"), labeled_list="l.txt")
    back = Config.from_dict(json.loads(json.dumps(config.as_dict())))
    assert back == config
    assert hash(back) == hash(config)  # JSON's lists are tuples again


def test_typing_mistakes_get_the_nearest_name():
    with pytest.raises(UserError, match=r"a known setting, got batch_labelled; did you mean batch_labeled\?"):
        configure("scenes", {"batch_labelled": 4})
    with pytest.raises(UserError, match=r"got qqqqq; see psmt-viz train -h"):
        configure("scenes", {"qqqqq": 4})
    with pytest.raises(UserError, match=r"--preset one of scenes, .*, got 'scene'"):
        configure("scene", {})
    with pytest.raises(UserError, match=r"unknown entries optimiser, zoo"):
        Config.from_dict({"zoo": {}, "optimiser": {}})


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"scenes"}))
def test_presets_of_real_data_ask_for_it(preset):
    with pytest.raises(UserError, match=f"the folder that holds {preset}'s images, got none; give it with --data DIR"):
        configure(preset, {})


WRONG = {
    "output_stride": [4, 0],
    "aspp_channels": [0],
    "aspp_rates": [(6, 0)],
    "low_channels": [0],
    "decoder_channels": [-1],
    "crop": [31],
    "long_side": [(200, 100), (0, 100)],
    "jitter": [(1.1, 0, 0, 0), (0, -0.1, 0, 0), (0, 0, 0, 0.6)],
    "method": ["ps-mt"],
    "warmup_epochs": [-1],
    "epochs": [0],
    "steps_per_epoch": [0],
    "batch_labeled": [0],
    "batch_unlabeled": [0],
    "unsup_weight": [-0.1, math.nan, math.inf],
    "ramp": ["linear"],
    "ramp_epochs": [-1],
    "confidence": [-0.1, 1, math.nan],
    "assist_top": [0],
    "perturbation": ["random"],
    "eps": [0, math.inf],
    "ema": [-0.1, 1, math.nan],
    "lr": [0, math.nan],
    "head_lr_factor": [0],
    "momentum": [-0.1],
    "weight_decay": [-1e-4],
    "power": [0],
    "seed": [-1],
    "workers": [-1],
    "val_every": [0],
}
# Judged by the data set or the network that they name.
TEXTS = {"data", "split", "classes", "labeled_list", "unlabeled_list", "val_list", "backbone"}


def test_every_number_and_choice_has_a_bound():
    switches = {name for name, value in flat(Config()).items() if isinstance(value, bool)}
    assert sorted([*WRONG, *TEXTS, *switches]) == sorted(FIELDS)


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
        ("long_side", (100, 100)),
        ("jitter", (1, 1, 1, 0.5)),
        ("jitter", (0, 0, 0, 0)),
        ("warmup_epochs", 0),
        ("ramp_epochs", 0),
        ("confidence", 0),
        ("ema", 0),
        ("momentum", 0),
        ("weight_decay", 0),
        ("steps_per_epoch", None),
        ("assist_top", 1),
    ],
)
def test_the_bounds_themselves_are_allowed(name, value):
    assert flat(configure("scenes", {name: value}))[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", "3"), ("epochs", 1.5), ("seed", 0.5), ("long_side", (1, 2, 3)), ("jitter", (0.1, 0.1)), ("crop", None)],
)
def test_values_of_another_kind_in_a_config_file(name, value):
    with pytest.raises(UserError, match="--" + name.replace("_", "-")):
        configure("scenes", {name: value})
