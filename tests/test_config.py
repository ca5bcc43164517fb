import dataclasses
import json

import docstring_parser
import pytest

from psmt_viz.config import FIELDS, GROUPS, Config, fixed_settings
from psmt_viz.errors import UserError
from psmt_viz.methods import METHODS
from psmt_viz.presets import PRESETS, configure
from psmt_viz.settings import names_of


def resolve(preset, **values):
    return configure(preset, {"data": "a folder", **values})


def test_a_flat_name_is_in_one_group():
    every = {group: {name for kind in kinds for name in names_of(kind)} for group, kinds in GROUPS.items()}
    assert sorted(name for names in every.values() for name in names) == sorted(FIELDS)
    assert all(name in every[group] for name, group in FIELDS.items())
    assert {"preset", "recipe", "out", "config", "resume", "device"}.isdisjoint(FIELDS)  # flags of `train` itself
    groups = {field.name for field in dataclasses.fields(Config)} - {"preset", "recipe"}
    assert groups == set(GROUPS)


def told(kind):
    """What the docstrings of a group's own fields say."""
    return {each.arg_name: each.description for each in docstring_parser.parse_from_object(kind).params}


KINDS = [kind for kinds in GROUPS.values() for kind in kinds]


def test_every_setting_is_documented_once():
    """In the one class that declares it: the group, or one that several methods are made of."""
    declared = {}
    for part in dict.fromkeys(part for kind in KINDS for part in kind.__mro__ if dataclasses.is_dataclass(part)):
        for name, text in told(part).items():
            if text is not None and name in names_of(part):
                assert name not in declared, name
                declared[name] = text
    assert set(declared) == set(FIELDS)
    for name, text in declared.items():
        assert len(text) > 12 and text.endswith("."), name
    assert len(set(declared.values())) == len(declared)


def test_replacing_leaves_the_original_and_everything_else():
    before = configure("scenes", {})
    after = before.replace({"eps": 7.0, "seed": 4})
    changed = {name for name, value in before.flat().items() if value != after.flat()[name]}
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


def test_flat_gives_every_setting_of_every_group():
    config = configure("scenes", {})
    groups = {name: values for name, values in config.as_dict().items() if name in GROUPS}
    merged = {name: value for values in groups.values() for name, value in values.items()}
    assert config.flat() == merged
    assert list(config.flat()) == [name for name in FIELDS if config.has(name)]
    assert Config(preset="scenes").replace(config.flat()) == config


OTHERS = {
    **{"split": "1_2", "classes": ("a", "b"), "image_dir": "i"},
    **{"mask_dir": "m", "pair": "(a)", "mask_values": (0, 255), "ignore_index": 9, "reduce_zero_label": True},
    **{"palette": "voc", "arch": "psmt-deeplabv3plus", "backbone": "resnet18", "pretrained": False, "output_stride": 8},
    **{"aspp_channels": 7, "aspp_rates": (1,), "low_channels": 7, "decoder_channels": 7, "crop": 64},
    **{"long_side": (50, 60), "base_size": (60, 50), "warmup_steps": 3, "images_per_gpu": 3, "drop_last": True},
    **{
        "loss_mean": "batch",
        "best_by": "teacher1",
        "jitter": (0, 0, 0, 0),
        "window": 64,
        "window_stride": 0.5,
        "method": "supervised",
    },
    **{"warmup_epochs": 3, "epochs": 3, "steps_per_epoch": 3, "batch_labeled": 3, "batch_unlabeled": 3},
    **{"labeled_stream": "replay", "teacher_start": "random", "teacher_heads": "kaiming"},
    **{"pseudo_labels": "train", "count_padding": True},
    **{"sup_loss": "ohem", "ohem_threshold": 0.5, "ohem_kept": 3, "unsup_weight": 3.0, "ramp": "cosine"},
    **{"ramp_epochs": 3, "confidence": 0.5, "assist_top": 3, "cutmix": "three", "perturbation": "vat", "eps": 3.0},
    **{"noise": "uniform", "xi": 0.1, "norm_floor": 0.1, "ema": 0.5, "lr": 0.3, "lr_batch": 3, "head_lr_factor": 3.0},
    **{"momentum": 0.3, "weight_decay": 0.3, "power": 0.3, "seed": 3, "channels_last": True, "precision": "bf16"},
    **{"sync_batchnorm": False, "val_every": 3, "val_images": 2, "consistency_weight": 3.0},
}
"""A value for each setting that decides a run's numbers or its tables, other than the default."""
NEUTRAL = {
    **{
        "workers": 3,
        "cache": "off",
        "accumulate": 3,
        "compile": True,
        "checkpoint_steps": 3,
        "checkpoint_minutes": 3.0,
    },
    **{"keep_last": 3, "tensorboard": True, "log_every": 3},
    # What they hold is in the fingerprint.
    **{"data": "another", "labeled_list": "l", "unlabeled_list": "u", "val_list": "v"},
}


def of_method(name):
    return Config(method=METHODS[name]())


def test_every_setting_decides_or_is_neutral():
    assert sorted([*OTHERS, *NEUTRAL]) == sorted(FIELDS)


@pytest.mark.parametrize(("name", "value"), [*OTHERS.items(), *NEUTRAL.items()])
def test_a_run_may_go_on_with_other_neutral_settings_alone(name, value):
    before = next(each for each in map(of_method, METHODS) if each.has(name))
    before = before.replace({"backbone": "resnet50s"})  # which all networks can have
    after = before.replace({name: value})
    assert after != before
    assert (fixed_settings(after) != fixed_settings(before)) == (name in OTHERS)
    assert after.as_dict()["system"].keys() == before.as_dict()["system"].keys()  # nothing is taken from the record


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", "3"), ("epochs", 1.5), ("seed", 0.5), ("long_side", (1, 2, 3)), ("jitter", (0.1, 0.1)), ("crop", None)],
)
def test_values_of_another_kind_in_a_config_file(name, value):
    with pytest.raises(UserError, match="--" + name.replace("_", "-")):
        configure("scenes", {name: value})


def test_the_settings_of_psmt_keep_the_order_of_their_first_version():
    names = list(Config().as_dict()["method"])
    assert names[:7] == [
        *("method", "warmup_epochs", "warmup_steps", "epochs", "steps_per_epoch", "batch_labeled", "batch_unlabeled"),
    ]
    assert names[-3:] == ["norm_floor", "ema", "best_by"] and len(names) == 31


def test_another_method_takes_over_what_was_set_and_has_its_own_defaults():
    before = configure("scenes", {"warmup_epochs": 2, "batch_labeled": 5, "ema": 0.5})
    control = before.replace({"method": "supervised", "epochs": 3})
    assert type(control.method) is METHODS["supervised"]
    assert (control.method.batch_labeled, control.method.warmup_epochs, control.method.epochs) == (5, 2, 3)
    assert not control.has("ema") and "ema" not in control.flat() and "ema" not in control.as_dict()["method"]
    back = control.replace({"method": "psmt"})
    assert (back.method.batch_labeled, back.method.ema) == (5, METHODS["psmt"]().ema)


def test_settings_of_other_methods_are_left_aside():
    control = configure("scenes", {"method": "supervised", "confidence": 0.9})
    assert control == configure("scenes", {"method": "supervised"})


def test_a_control_of_a_version_that_kept_every_setting_is_read():
    old = Config().as_dict()
    old["method"] = {**old["method"], "method": "supervised", "batch_labeled": 3, "ema": 0.1}
    found = Config.from_dict(old)
    assert found == Config(method=METHODS["supervised"](batch_labeled=3))


@pytest.mark.parametrize("name", ["ps-mt", "", 3, ["psmt"], None])
def test_a_method_that_there_is_not_names_those_that_there_are(name):
    with pytest.raises(UserError, match=rf"--method one of {', '.join(METHODS)}, got "):
        Config().replace({"method": name})
