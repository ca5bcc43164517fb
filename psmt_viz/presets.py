"""Settings under a name: presets of a data set, and recipes of the method."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from psmt_viz.config import Config, DataConfig
from psmt_viz.errors import UserError

# Short runs need a short memory. On its way from its own warm-up to the student, an averaged teacher passes through
# weights that belong to neither and predicts badly; a preset's ramp-up must outlast that, and its run outlast the ramp.
_SMALL_REAL: Mapping[str, Any] = MappingProxyType(
    {
        "backbone": "tf_efficientnet_lite0",
        "aspp_channels": 64,
        "decoder_channels": 64,
        "crop": 224,
        "warmup_steps": 100,
        "epochs": 10,
        "steps_per_epoch": 50,
        "ramp_epochs": 5,
        "ema": 0.95,
        "channels_last": True,
        "lr": 0.01,
        "head_lr_factor": 3.0,
    }
)
_PUBLISHED: Mapping[str, Any] = MappingProxyType(
    {"arch": "psmt-deeplabv3plus", "backbone": "resnet50s", "channels_last": True}
)
_VOC_EPOCHS: Mapping[str, int] = MappingProxyType({"1_16": 80, "1_8": 80, "1_4": 200, "1_2": 300})
# Four GPUs of eight labelled and eight unlabelled images each.
_VOC: Mapping[str, Any] = MappingProxyType(
    {**_PUBLISHED, "batch_labeled": 32, "batch_unlabeled": 32, "images_per_gpu": 8, "lr": 2.5e-3, "lr_batch": 8}
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # A tiny network on the built-in synthetic data set: minutes on a laptop.
        "scenes": {
            "data": "scenes",
            "backbone": "test_resnet",
            "pretrained": False,
            "aspp_channels": 48,
            "aspp_rates": (2, 4, 6),
            "low_channels": 16,
            "decoder_channels": 48,
            "crop": 96,
            "long_side": (96, 144),
            # Colour is part of what tells these classes apart; hues turned by a quarter would hide it.
            "jitter": (0.3, 0.3, 0.3, 0.05),
            "warmup_steps": 300,
            "epochs": 20,
            "steps_per_epoch": 50,
            "ramp_epochs": 7,
            "ema": 0.97,
            "lr": 0.06,
            # Of Mean Teacher, whose default of 10 ended 4.5 points of mIoU lower here (seed 100).
            "consistency_weight": 1.0,
        },
        # A real part of Pascal VOC 2012: the seven classes that are frequent enough to score.
        "voc_mini": {
            **_SMALL_REAL,
            "classes": ("background", "cat", "cow", "dog", "horse", "person", "sheep"),
            "long_side": (160, 500),
        },
        # Road scenes, 480 x 360, eleven classes.
        "camvid": {**_SMALL_REAL, "long_side": (320, 640)},
        # The three below are the paper's. On one GPU, --accumulate 4 fits the batch of four.
        "voc": _VOC,
        "voc-classic": {**_VOC, "split": "732", "unsup_weight": 0.6},
        "cityscapes": {
            **_PUBLISHED,
            "crop": 800,
            "base_size": (1024, 2048),
            "window": 800,
            "cutmix": "three",
            # The published results at crop 800 are those with OHEM.
            "sup_loss": "ohem",
            "unsup_weight": 3.0,
            "epochs": 320,
            # Two GPUs of four.
            "batch_labeled": 8,
            "batch_unlabeled": 8,
            "images_per_gpu": 4,
            "lr": 4.5e-3,
        },
    }
)
SPLIT_SETTINGS: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "voc": {split: {"epochs": epochs} for split, epochs in _VOC_EPOCHS.items()},
        "voc-classic": {"92": {"unsup_weight": 0.06}},
        "cityscapes": {"1_8": {"epochs": 320}, "1_4": {"epochs": 450}, "1_2": {"epochs": 550}},
    }
)
"""Preset -> split -> what the paper sets otherwise for it. Classic's 1464 has none published; it takes the others'."""

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # What the paper and its supplement say, numerically sound.
        "supplement": {
            "ramp": "gaussian",
            "noise": "gaussian",
            "xi": None,
            "norm_floor": 0.0,
            "teacher_start": "student",
            "pseudo_labels": "eval",
            "count_padding": False,
            "labeled_stream": "fresh",
        },
        # What the published code does, for comparison with published results.
        "official-code": {
            "ramp": "cosine",
            "noise": "uniform",
            "xi": 1e-6,
            "norm_floor": 1e-8,
            "teacher_start": "random",
            "pseudo_labels": "train",
            "count_padding": True,
            "labeled_stream": "replay",
        },
    }
)
"""Every switch in which the supplement and the published code differ; each can be set alone as well."""

RECIPE_SETTINGS: Mapping[str, Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    # Their code builds OHEM and never calls it, and validates by its first teacher alone.
    {"official-code": {"cityscapes": {"sup_loss": "ce", "best_by": "teacher1"}}}
)
"""Recipe -> preset -> switches in which the published code of one data set differs."""


def configure(preset: str, values: Mapping[str, Any], *, recipe: str = "supplement") -> Config:
    """Returns a preset's configuration with a recipe's switches and some fields changed.

    Args:
        preset: A name of `PRESETS`.
        values: Flat field names and their values; they win over preset and recipe.
        recipe: A name of `RECIPES`.

    Raises:
        UserError: if the preset, the recipe or a field is unknown, or a value is out of bounds.
    """
    for flag, name, known in (("--preset", preset, PRESETS), ("--recipe", recipe, RECIPES)):
        if name not in known:
            raise UserError(f"{flag} one of {', '.join(known)}", repr(name), "choose one of them")
    chosen = {**PRESETS[preset], **values}
    if "data" not in chosen:
        raise UserError(f"the folder that holds {preset}'s images", "none", "give it with --data DIR")
    by_split = SPLIT_SETTINGS.get(preset, {}).get(chosen.get("split", DataConfig.split), {})
    values = lengths_as_given(values)
    resolved = {**PRESETS[preset], **by_split, **switches(preset, recipe), **values}
    return Config(preset=preset, recipe=recipe).replace(resolved)


SMOKE: Mapping[str, Any] = MappingProxyType(
    {
        "crop": 96,
        "batch_labeled": 2,
        "batch_unlabeled": 2,
        "warmup_steps": 2,
        "epochs": 2,
        "steps_per_epoch": 2,
        "val_images": 4,
        # So early no pseudo-label would pass, and its part of a step would have nothing to do.
        "confidence": 0.0,
        "ramp_epochs": 1.0,
    }
)
"""What a run of seconds has, which only shows that everything works; the crop is no larger than this."""


def smoke(config: Config, given: Mapping[str, Any]) -> Config:
    """Returns a configuration for a run of seconds: that of `SMOKE`, but for what was given."""
    short = {name: value for name, value in SMOKE.items() if name not in given}
    if "warmup_epochs" in given:
        short.pop("warmup_steps", None)
    if "crop" in short:
        short["crop"] = min(SMOKE["crop"], config.views.crop)
    return config.replace(short)


def switches(preset: str, recipe: str) -> Mapping[str, Any]:
    """Returns every switch that a recipe sets with a preset, also those that another recipe would set otherwise."""
    others = {name for of in RECIPE_SETTINGS.values() for name in of.get(preset, {})}
    plain = {name: PRESETS.get(preset, {}).get(name, Config().flat()[name]) for name in others}
    return {**plain, **RECIPES[recipe], **RECIPE_SETTINGS.get(recipe, {}).get(preset, {})}


def lengths_as_given(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns settings in which passes of the warm-up, where they alone are given, win over a preset's steps."""
    alone = "warmup_epochs" in values and "warmup_steps" not in values
    return {"warmup_steps": None, **values} if alone else values
