"""Every setting of a run, with its meaning, its bounds and the presets that set it.

A field's name is its command-line flag (`steps_per_epoch` -> `--steps-per-epoch`) and its docstring is the flag's help,
so names are unique over all groups.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType, UnionType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from psmt_viz.errors import UserError
from psmt_viz.schedules import Ramp

Method = Literal["psmt", "supervised"]
Perturbation = Literal["tvat", "vat", "none"]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _fits(value: Any, hint: Any) -> bool:
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return True  # `_one_of` names the choices
    if get_origin(hint) is UnionType:
        return any(_fits(value, part) for part in parts)
    if get_origin(hint) is tuple:
        kinds = parts[:1] * len(value) if parts[-1] is ... else parts
        return len(value) == len(kinds) and all(map(_fits, value, kinds)) if isinstance(value, tuple) else False
    return type(value) is hint or (hint is float and type(value) is int)


class _Group:
    """Checks shared by the groups of settings; errors name the field's flag and the value."""

    def _require(self, ok: bool, name: str, expected: str) -> None:
        if not ok:
            raise UserError(f"{_flag(name)} {expected}", f"{getattr(self, name)!r}", f"set {_flag(name)} accordingly")

    def _positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(math.isfinite(value) and value > 0, name, "above 0")

    def _not_negative(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(math.isfinite(value) and value >= 0, name, "0 or more")

    def _one_of(self, name: str, choices: Any) -> None:
        options = get_args(choices)
        self._require(getattr(self, name) in options, name, f"one of {', '.join(map(str, options))}")


@dataclass(frozen=True, kw_only=True)
class DataConfig(_Group):
    """Which images a run learns from."""

    data: str = "scenes"
    """`scenes`, the embedded data set, or a folder in Pascal VOC's layout."""
    split: str = "1_8"
    """The labelled share: a folder of ImageSets/Segmentation/semi, `1_N`, or `full` (every label)."""
    classes: tuple[str, ...] = ()
    """Class names to keep, in this order; pixels of all others are ignored. Empty keeps every class."""
    labeled_list: str | None = None
    """A file that lists the labelled images, instead of the data set's own lists."""
    unlabeled_list: str | None = None
    """A file that lists the unlabelled images, instead of the data set's own lists."""
    val_list: str | None = None
    """A file that lists the validation images, instead of the data set's own list."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig(_Group):
    """The network: DeepLabV3+ on any convolutional backbone of timm."""

    backbone: str = "resnet50"
    """A timm model name."""
    pretrained: bool = True
    """Start the student's backbone from ImageNet weights; heads are always drawn from the seed."""
    output_stride: int = 16
    """Stride of the backbone's last feature map: 8, 16 or 32."""
    aspp_channels: int = 256
    """Channels of each ASPP branch and of its output."""
    aspp_rates: tuple[int, ...] = (6, 12, 18)
    """Dilations of the ASPP's 3x3 convolutions."""
    low_channels: int = 48
    """Channels of the reduced low-level features; z has aspp_channels + low_channels."""
    decoder_channels: int = 256
    """Channels of the decoder's two 3x3 convolutions."""

    def __post_init__(self) -> None:
        self._require(self.output_stride in (8, 16, 32), "output_stride", "8, 16 or 32")
        self._positive("aspp_channels", "low_channels", "decoder_channels")
        self._require(all(rate > 0 for rate in self.aspp_rates), "aspp_rates", "above 0")


@dataclass(frozen=True, kw_only=True)
class ViewConfig(_Group):
    """The weak and the strong view of an image; both share one geometry."""

    crop: int = 512
    """Side of the square crop, in pixels."""
    long_side: tuple[int, int] = (300, 1200)
    """The image's longer side is scaled to a length drawn uniformly from this range, in pixels."""
    jitter: tuple[float, float, float, float] = (0.5, 0.5, 0.5, 0.25)
    """Strength of the strong view's change of brightness, contrast, saturation and hue."""

    def __post_init__(self) -> None:
        self._require(self.crop >= 32, "crop", "at least 32")
        low, high = self.long_side
        self._require(0 < low <= high, "long_side", "two lengths, the smaller first")
        self._require(
            all(0 <= v <= 1 for v in self.jitter) and self.jitter[3] <= 0.5, "jitter", "in [0, 1], hue to 0.5"
        )


@dataclass(frozen=True, kw_only=True)
class MethodConfig(_Group):
    """PS-MT, or its control that sees the labelled images alone."""

    method: Method = "psmt"
    """`psmt`, or `supervised`: the same network, steps, batch of labelled images and schedule without the rest."""
    warmup_epochs: int = 5
    """Epochs in which student and teachers each learn from the labelled images alone."""
    epochs: int = 80
    """Epochs after the warm-up; an epoch is one pass over the unlabelled images."""
    steps_per_epoch: int | None = None
    """Steps of an epoch, where it shall not be one pass over the unlabelled images."""
    batch_labeled: int = 8
    """Labelled images in a step."""
    batch_unlabeled: int = 8
    """Unlabelled images in a step."""
    unsup_weight: float = 1.5
    """Final weight of the unsupervised loss."""
    ramp: Ramp = "gaussian"
    """Shape of the unsupervised weight's ramp-up."""
    ramp_epochs: float = 12
    """Length of the ramp-up, in epochs after the warm-up."""
    confidence: float = 0.6
    """Pixels whose ensemble probability is below this have no unsupervised loss."""
    assist_top: int = 7
    """Logits a pixel keeps from the teacher that is not being updated (the assist mask); the number of classes or more
    turns the mask off."""
    cutmix: bool = True
    """Paste a box of one unlabelled image, with its pseudo-labels, into another."""
    perturbation: Perturbation = "tvat"
    """Adversarial noise on the student's features, made by the teachers (`tvat`) or by itself (`vat`)."""
    eps: float = 2.0
    """Norm of that noise, over all features of an image."""
    ema: float = 0.996
    """Share of itself that a teacher keeps at each update."""

    def __post_init__(self) -> None:
        self._one_of("method", Method)
        self._one_of("ramp", Ramp)
        self._one_of("perturbation", Perturbation)
        self._not_negative("warmup_epochs", "ramp_epochs", "unsup_weight")
        self._positive("epochs", "batch_labeled", "batch_unlabeled", "eps", "assist_top")
        self._require(self.steps_per_epoch is None or self.steps_per_epoch > 0, "steps_per_epoch", "above 0")
        self._require(0 <= self.confidence < 1, "confidence", "in [0, 1)")
        self._require(0 <= self.ema < 1, "ema", "in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class OptimConfig(_Group):
    """SGD with a polynomial decay after the warm-up."""

    lr: float = 0.01
    """Learning rate at the start; constant during the warm-up."""
    head_lr_factor: float = 1.0
    """Learning rate of everything but the backbone, as a multiple of `lr`."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 1e-4
    """Weight decay of convolution weights; normalisation layers and biases have none."""
    power: float = 0.9
    """Exponent of the polynomial decay."""

    def __post_init__(self) -> None:
        self._positive("lr", "head_lr_factor", "power")
        self._not_negative("momentum", "weight_decay")


@dataclass(frozen=True, kw_only=True)
class SystemConfig(_Group):
    """What does not belong to the method."""

    seed: int = 0
    """Everything random follows from it."""
    workers: int = 0
    """Processes that prepare images; 0 prepares them in the training process. Results do not depend on it."""
    channels_last: bool = False
    """Lay tensors out with channels last: a third faster for networks of depthwise convolutions on a CPU."""
    val_every: int = 1
    """Epochs between two validations; the last epoch is always validated."""

    def __post_init__(self) -> None:
        self._not_negative("seed", "workers")
        self._positive("val_every")


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run."""

    preset: str = "scenes"
    recipe: str = "supplement"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    system: SystemConfig = field(default_factory=SystemConfig)

    def as_dict(self) -> dict[str, Any]:
        """Returns plain nested values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Builds a configuration from what `as_dict` gave.

        Raises:
            UserError: if a name is unknown or a value is out of bounds.
        """
        parts = [values, *(values.get(group, {}) for group in GROUPS)] if isinstance(values, Mapping) else [values]
        if not all(isinstance(part, Mapping) for part in parts):
            raise UserError("a configuration of psmt-viz", "something else", "give the config.json of a run folder")
        flat = {name: value for group in GROUPS for name, value in values.get(group, {}).items()}
        unknown = sorted(set(values) - {"preset", "recipe", *GROUPS})
        if unknown:
            raise UserError("a configuration of psmt-viz", f"unknown entries {', '.join(unknown)}", "remove them")
        return cls(preset=values.get("preset", "scenes"), recipe=values.get("recipe", "supplement")).replace(flat)

    def replace(self, values: Mapping[str, Any]) -> Self:
        """Returns a copy with some fields changed, each given by its flat name.

        Raises:
            UserError: if a name is unknown (the nearest one is named) or a value is out of bounds.
        """
        for name in values:
            if name not in FIELDS:
                near = difflib.get_close_matches(name, FIELDS, 1)
                raise UserError(
                    "a known setting", name, f"did you mean {near[0]}?" if near else "see psmt-viz train -h"
                )
        groups = {}
        for name, group in GROUPS.items():
            current = getattr(self, name)
            own = {f.name: values.get(f.name, getattr(current, f.name)) for f in fields(group)}
            # JSON has no tuples.
            own = {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}
            for key, hint in get_type_hints(group).items():
                if not _fits(own[key], hint):
                    kind = str(hint).replace("<class '", "").replace("'>", "")
                    raise UserError(f"{_flag(key)} of kind {kind}", repr(own[key]), f"set {_flag(key)} accordingly")
            groups[name] = group(**own)
        return type(self)(preset=self.preset, recipe=self.recipe, **groups)


GROUPS: Mapping[str, type] = MappingProxyType(
    {
        "data": DataConfig,
        "model": ModelConfig,
        "views": ViewConfig,
        "method": MethodConfig,
        "optim": OptimConfig,
        "system": SystemConfig,
    }
)
FIELDS: Mapping[str, type] = MappingProxyType({f.name: group for group in GROUPS.values() for f in fields(group)})
"""Flat name of every setting -> the group that holds it."""

# Short runs need a short memory. On its way from its own warm-up to the student, an averaged teacher passes through
# weights that belong to neither and predicts badly; a preset's ramp-up must outlast that, and its run outlast the ramp.
_SMALL_REAL: Mapping[str, Any] = MappingProxyType(
    {
        "backbone": "tf_efficientnet_lite0",
        "aspp_channels": 64,
        "decoder_channels": 64,
        "crop": 224,
        "warmup_epochs": 2,
        "epochs": 10,
        "steps_per_epoch": 50,
        "ramp_epochs": 5,
        "ema": 0.95,
        "channels_last": True,
        "lr": 0.01,
        "head_lr_factor": 3.0,
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # A tiny network on the embedded data set: minutes on a laptop.
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
            "warmup_epochs": 6,
            "epochs": 20,
            "steps_per_epoch": 50,
            "ramp_epochs": 7,
            "ema": 0.97,
            "lr": 0.06,
        },
        # A real part of Pascal VOC 2012: the seven classes that are frequent enough to score.
        "voc_mini": {
            **_SMALL_REAL,
            "classes": ("background", "cat", "cow", "dog", "horse", "person", "sheep"),
            "long_side": (160, 500),
        },
        # Road scenes, 480 x 360, eleven classes.
        "camvid": {**_SMALL_REAL, "long_side": (320, 640)},
    }
)


def configure(preset: str, values: Mapping[str, Any]) -> Config:
    """Returns a preset's configuration with some fields changed.

    Args:
        preset: A name of `PRESETS`.
        values: Flat field names and their values.

    Raises:
        UserError: if the preset or a field is unknown, or a value is out of bounds.
    """
    if preset not in PRESETS:
        raise UserError(f"--preset one of {', '.join(PRESETS)}", repr(preset), "choose one of them")
    chosen = {**PRESETS[preset], **values}
    if "data" not in chosen:
        raise UserError(f"the folder that holds {preset}'s images", "none", "give it with --data DIR")
    return Config(preset=preset).replace(chosen)
