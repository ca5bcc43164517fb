import dataclasses
import json
import math

import docstring_parser
import pytest

from psmt_viz.config import FIELDS, GROUPS, Config, fixed_settings
from psmt_viz.errors import UserError
from psmt_viz.presets import PRESETS, RECIPE_SETTINGS, RECIPES, SPLIT_SETTINGS, configure


def resolve(preset, **values):
    return configure(preset, {"data": "a folder", **values})


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
    got = config.flat()
    assert set(got) == set(FIELDS)
    for name, value in {**PRESETS[preset], "data": "a folder"}.items():
        assert got[name] == value, name
    untouched = Config().flat()
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
    changed = {name for name in FIELDS if before.flat()[name] != after.flat()[name]}
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


def test_flat_gives_every_setting_of_every_group():
    config = configure("scenes", {})
    groups = {name: values for name, values in config.as_dict().items() if name in GROUPS}
    merged = {name: value for values in groups.values() for name, value in values.items()}
    assert config.flat() == merged
    assert list(config.flat()) == list(FIELDS)
    assert Config(preset="scenes").replace(config.flat()) == config


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_recipe_sets_its_switches_whatever_the_preset(preset, recipe):
    config = configure(preset, {"data": "a folder"}, recipe=recipe)
    assert config.recipe == recipe
    got, sound = config.flat(), resolve(preset).flat()
    assert {name: got[name] for name in RECIPES[recipe]} == RECIPES[recipe]
    switches = {*RECIPES[recipe], *RECIPE_SETTINGS.get(recipe, {}).get(preset, {})}
    assert {name for name in got if got[name] != sound[name]} <= switches


def test_the_recipes_set_the_same_switches_and_differ_in_each():
    supplement, published = RECIPES["supplement"], RECIPES["official-code"]
    assert set(RECIPES) == {"supplement", "official-code"}
    assert supplement.keys() == published.keys()
    assert all(supplement[name] != published[name] for name in supplement)
    assert {name: Config().flat()[name] for name in supplement} == supplement


@pytest.mark.parametrize("name", RECIPES["supplement"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_switch_set_alone_wins_over_the_recipe(recipe, name):
    (other,) = set(RECIPES) - {recipe}
    value = RECIPES[other][name]
    config = configure("scenes", {name: value}, recipe=recipe)
    assert config.flat() == configure("scenes", {}, recipe=recipe).flat() | {name: value}
    assert config.flat()[name] != RECIPES[recipe][name]


def test_unknown_recipes_are_refused():
    with pytest.raises(UserError, match=r"--recipe one of supplement, official-code, got 'paper'; choose one"):
        configure("scenes", {}, recipe="paper")


@pytest.mark.parametrize(
    ("preset", "split", "expected"),
    [
        ("voc", "1_16", {"epochs": 80, "unsup_weight": 1.5}),
        ("voc", "1_8", {"epochs": 80}),
        ("voc", "1_4", {"epochs": 200}),
        ("voc", "1_2", {"epochs": 300, "unsup_weight": 1.5}),
        ("voc-classic", None, {"split": "732", "epochs": 80, "unsup_weight": 0.6}),
        ("voc-classic", "92", {"epochs": 80, "unsup_weight": 0.06}),
        ("voc-classic", "183", {"epochs": 80, "unsup_weight": 0.6}),
        ("voc-classic", "1464", {"epochs": 80, "unsup_weight": 0.6}),
        ("cityscapes", "1_8", {"epochs": 320, "unsup_weight": 3.0, "cutmix": "three", "window": 800}),
        ("cityscapes", "1_4", {"epochs": 450}),
        ("cityscapes", "1_2", {"epochs": 550}),
        ("scenes", "1_2", {"epochs": PRESETS["scenes"]["epochs"]}),
    ],
)
def test_a_split_has_the_papers_settings(preset, split, expected):
    values = {} if split is None else {"split": split}
    got = resolve(preset, **values).flat()
    assert {name: got[name] for name in expected} == expected
    changed = {name for name in got if got[name] != resolve(preset).flat()[name]}
    assert changed <= {"split", *SPLIT_SETTINGS.get(preset, {}).get(split, {})}


def test_given_values_win_over_the_splits():
    assert resolve("voc", split="1_2", epochs=7).method.epochs == 7
    assert resolve("voc-classic", split="92", unsup_weight=1.0).method.unsup_weight == 1.0


@pytest.mark.parametrize("preset", ["voc", "voc-classic", "cityscapes"])
def test_the_papers_presets_are_the_papers(preset):
    config = resolve(preset)
    assert (config.model.arch, config.model.backbone) == ("psmt-deeplabv3plus", "resnet50s")
    method, optim = config.method, config.optim
    assert (method.warmup_epochs, method.ramp_epochs, method.ema, method.eps) == (5, 12, 0.996, 2.0)
    assert (method.confidence, method.assist_top) == (0.6, 7)
    assert (optim.momentum, optim.weight_decay, optim.power, optim.head_lr_factor) == (0.9, 1e-4, 0.9, 1.0)
    city = preset == "cityscapes"
    assert (config.views.crop, config.views.base_size) == ((800, (1024, 2048)) if city else (512, None))
    assert city or config.views.long_side == (300, 1200)
    # Four GPUs of 8 + 8 images, or two of 4 + 4.
    assert (config.groups, method.images_per_gpu, method.batch_labeled) == ((2, 4, 8) if city else (4, 8, 32))
    assert method.batch_unlabeled == method.batch_labeled
    # 77.12 at 1/8 is published for crop 800 with OHEM.
    assert method.sup_loss == ("ohem" if city else "ce")


def test_the_published_code_of_cityscapes_has_two_switches_more():
    ours, theirs = (configure("cityscapes", {"data": "."}, recipe=recipe).method for recipe in RECIPES)
    assert (ours.sup_loss, ours.best_by) == ("ohem", "ensemble")
    assert (theirs.sup_loss, theirs.best_by) == ("ce", "teacher1")
    assert configure("cityscapes", {"data": ".", "sup_loss": "ohem"}, recipe="official-code").method.sup_loss == "ohem"


@pytest.mark.parametrize(("batch", "per_gpu", "asked", "heads"), [
    (32, 8, "auto", "kaiming"), (8, 8, "auto", "torch"), (8, None, "auto", "torch"), (32, 8, "torch", "torch"),
    (8, None, "kaiming", "kaiming"),
])  # fmt: skip
def test_teachers_heads_are_kaiming_as_on_several_gpus(batch, per_gpu, asked, heads):
    values = {"batch_labeled": batch, "batch_unlabeled": batch, "images_per_gpu": per_gpu, "teacher_heads": asked}
    assert configure("scenes", values).teacher_heads == heads


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, (5, 300)), ({"warmup_epochs": 2}, (2, None)), ({"warmup_epochs": 2, "warmup_steps": 7}, (2, 7))],
)
def test_passes_that_are_asked_for_win_over_a_presets_steps(values, expected):
    method = configure("scenes", values).method
    assert (method.warmup_epochs, method.warmup_steps) == expected


@pytest.mark.parametrize(("batch", "per_gpu", "groups"), [(32, 8, 4), (8, 8, 1), (4, 8, 1), (8, None, 1), (16, 4, 4)])
def test_groups_are_the_gpus_that_a_batch_stands_for(batch, per_gpu, groups):
    assert configure("scenes", {"batch_labeled": batch, "images_per_gpu": per_gpu}).groups == groups


@pytest.mark.parametrize(
    ("preset", "batch", "rate"),
    [
        ("voc", None, 1e-2),
        ("voc", 32, 1e-2),
        ("voc", 8, 2.5e-3),
        ("voc", 4, 1.25e-3),
        ("voc-classic", None, 1e-2),
        ("cityscapes", None, 4.5e-3),
        ("cityscapes", 2, 4.5e-3),
        ("scenes", 3, 0.06),
    ],
)
def test_the_rate_follows_the_batch_where_the_paper_lets_it(preset, batch, rate):
    config = resolve(preset, **({} if batch is None else {"batch_labeled": batch}))
    assert config.learning_rate == pytest.approx(rate, rel=1e-12)
    # The batch of unlabelled images has no part in it.
    assert config.replace({"batch_unlabeled": 64}).learning_rate == config.learning_rate


OTHERS = {
    **{"data": "another", "split": "1_2", "classes": ("a", "b"), "labeled_list": "l", "unlabeled_list": "u"},
    **{"val_list": "v", "arch": "psmt-deeplabv3plus", "backbone": "resnet18", "pretrained": False, "output_stride": 8},
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
    **{"sync_batchnorm": False, "val_every": 3},
}
"""A value for each setting that decides a run's numbers or its tables, other than the default."""
NEUTRAL = {
    **{"workers": 3, "accumulate": 3, "compile": True, "checkpoint_steps": 3, "checkpoint_minutes": 3.0},
    **{"keep_last": 3, "tensorboard": True, "log_every": 3},
}


def test_every_setting_decides_or_is_neutral():
    assert sorted([*OTHERS, *NEUTRAL]) == sorted(FIELDS)


@pytest.mark.parametrize(("name", "value"), [*OTHERS.items(), *NEUTRAL.items()])
def test_a_run_may_go_on_with_other_neutral_settings_alone(name, value):
    # Which all networks can have.
    before = Config().replace({"backbone": "resnet50s"})
    after = before.replace({name: value})
    assert after != before
    assert (fixed_settings(after) != fixed_settings(before)) == (name in OTHERS)
    assert after.as_dict()["system"].keys() == before.as_dict()["system"].keys()  # nothing is taken from the record


WRONG = {
    "arch": ["unet"],
    "output_stride": [4, 0],
    "aspp_channels": [0],
    "aspp_rates": [(6, 0)],
    "low_channels": [0],
    "decoder_channels": [-1],
    "crop": [31],
    "long_side": [(200, 100), (0, 100)],
    "base_size": [(1, 100)],
    "warmup_steps": [-1],
    "images_per_gpu": [0],
    "loss_mean": ["image"],
    "best_by": ["student"],
    "jitter": [(1.1, 0, 0, 0), (0, -0.1, 0, 0), (0, 0, 0, 0.6)],
    "window": [31, 0],
    "window_stride": [0, 1.1, math.nan],
    "method": ["ps-mt"],
    "warmup_epochs": [-1],
    "epochs": [0],
    "steps_per_epoch": [0],
    "batch_labeled": [0],
    "batch_unlabeled": [0],
    "labeled_stream": ["again"],
    "teacher_start": ["imagenet"],
    "teacher_heads": ["xavier"],
    "pseudo_labels": ["both"],
    "sup_loss": ["dice"],
    "ohem_threshold": [0, 1.1, math.nan],
    "ohem_kept": [0],
    "unsup_weight": [-0.1, math.nan, math.inf],
    "ramp": ["linear"],
    "ramp_epochs": [-1, math.nan],
    "confidence": [-0.1, 1, math.nan],
    "assist_top": [0],
    "cutmix": ["two"],
    "perturbation": ["random"],
    "eps": [0, math.inf],
    "noise": ["normal"],
    "xi": [0, -1, math.nan, math.inf],
    "norm_floor": [-1e-8, math.nan],
    "ema": [-0.1, 1, math.nan],
    "lr": [0, math.nan],
    "lr_batch": [0],
    "head_lr_factor": [0],
    "momentum": [-0.1],
    "weight_decay": [-1e-4],
    "power": [0],
    "seed": [-1],
    "workers": [-1],
    "precision": ["fp64"],
    "accumulate": [0],
    "val_every": [0],
    "checkpoint_steps": [0],
    "checkpoint_minutes": [0, math.nan, math.inf],
    "keep_last": [-1],
    "log_every": [0],
}
# Judged by the data set or the network that they name.
TEXTS = {"data", "split", "classes", "labeled_list", "unlabeled_list", "val_list", "backbone"}


def test_every_number_and_choice_has_a_bound():
    switches = {name for name, value in Config().flat().items() if isinstance(value, bool)} | {"drop_last"}
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
        ("window", 32),
        ("window", None),
        ("window_stride", 1),
        ("ohem_threshold", 1),
        ("ohem_kept", 1),
        ("xi", None),
        ("xi", 1e-6),
        ("norm_floor", 0),
        ("lr_batch", None),
        ("accumulate", 1),
        ("checkpoint_steps", 1),
        ("keep_last", 0),
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
    assert configure("scenes", {name: value}).flat()[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", "3"), ("epochs", 1.5), ("seed", 0.5), ("long_side", (1, 2, 3)), ("jitter", (0.1, 0.1)), ("crop", None)],
)
def test_values_of_another_kind_in_a_config_file(name, value):
    with pytest.raises(UserError, match="--" + name.replace("_", "-")):
        configure("scenes", {name: value})


def test_the_authors_network_has_the_authors_widths():
    assert resolve("voc").model.aspp_channels == 256
    for name, value in {"aspp_channels": 64, "aspp_rates": (2, 4, 6), "low_channels": 16, "output_stride": 8}.items():
        flag = name.replace("_", "-")
        with pytest.raises(UserError, match=rf"--{flag} .* with --arch psmt-deeplabv3plus, got"):
            resolve("voc", **{name: value})
