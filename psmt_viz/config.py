"""Every setting of a run, with its meaning and its bounds.

A field's name is its command-line flag (`steps_per_epoch` -> `--steps-per-epoch`) and its docstring is the flag's help,
so names are unique over all groups.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args, get_origin, get_type_hints

from psmt_viz.architectures import ARCHITECTURES
from psmt_viz.errors import UserError
from psmt_viz.kinds import PAPER_EPS
from psmt_viz.schedules import Ramp

Method = Literal["psmt", "supervised"]
Perturbation = Literal["tvat", "vat", "none"]
Noise = Literal["gaussian", "uniform", "literal"]
Norm = Literal["image", "pixel"]
Search = Literal["finite-difference", "central-difference", "exact"]
Objective = Literal["kl", "cross-entropy"]
CutMix = Literal["one", "three", "none"]
Precision = Literal["fp32", "bf16", "fp16"]
if TYPE_CHECKING:
    Arch = str
else:
    Arch = Literal[tuple(ARCHITECTURES)]


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
    """`scenes`, the embedded data set, or a folder in Pascal VOC's or Cityscapes' layout."""
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
    """The network: DeepLabV3+ on any convolutional backbone of timm, or one of published code."""

    arch: Arch = "deeplabv3plus"
    """`deeplabv3plus`, or a network of published code, whose checkpoints can be imported: its backbones are few, and
    its widths and rates are fixed."""
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
        self._one_of("arch", Arch)
        self._require(self.output_stride in (8, 16, 32), "output_stride", "8, 16 or 32")
        self._positive("aspp_channels", "low_channels", "decoder_channels")
        self._require(all(rate > 0 for rate in self.aspp_rates), "aspp_rates", "above 0")
        architecture = ARCHITECTURES[self.arch]
        if architecture.backbones and self.backbone not in architecture.backbones:
            expected = f"--backbone {' or '.join(architecture.backbones)} with --arch {self.arch}"
            raise UserError(expected, self.backbone, "choose one of them, or --arch deeplabv3plus")
        for name, value in architecture.fixed.items():
            self._require(getattr(self, name) == value, name, f"{value} with --arch {self.arch}")


@dataclass(frozen=True, kw_only=True)
class ViewConfig(_Group):
    """The weak and the strong view of an image; both share one geometry."""

    crop: int = 512
    """Side of the square crop, in pixels."""
    long_side: tuple[int, int] = (300, 1200)
    """The image's longer side is scaled to a length drawn uniformly from this range, in pixels."""
    base_size: tuple[int, int] | None = None
    """Height and width that are scaled by a factor drawn uniformly from 0.5 to 2, whatever the image's own size, in
    place of `long_side`; how the published code sizes Cityscapes."""
    jitter: tuple[float, float, float, float] = (0.5, 0.5, 0.5, 0.25)
    """Strength of the strong view's change of brightness, contrast, saturation and hue."""
    window: int | None = None
    """Side of the window that slides over validation images, in pixels; left out, they are seen whole."""
    window_stride: float = 2 / 3
    """Step of that window, as a share of its side, rounded up to whole pixels."""

    def __post_init__(self) -> None:
        self._require(self.crop >= 32, "crop", "at least 32")
        self._require(self.window is None or self.window >= 32, "window", "at least 32")
        self._require(0 < self.window_stride <= 1, "window_stride", "above 0, to 1")
        low, high = self.long_side
        self._require(0 < low <= high, "long_side", "two lengths, the smaller first")
        self._require(self.base_size is None or min(self.base_size) >= 2, "base_size", "two lengths of at least 2")
        self._require(
            all(0 <= v <= 1 for v in self.jitter) and self.jitter[3] <= 0.5, "jitter", "in [0, 1], hue to 0.5"
        )


@dataclass(frozen=True, kw_only=True)
class MethodConfig(_Group):
    """PS-MT, or its control that sees the labelled images alone."""

    method: Method = "psmt"
    """`psmt`, or `supervised`: the same network, steps, batch of labelled images and schedule without the rest."""
    warmup_epochs: int = 5
    """Passes over the labelled images in which student and teachers each learn from these alone."""
    warmup_steps: int | None = None
    """Steps of that warm-up, where it shall not be `warmup_epochs` passes."""
    epochs: int = 80
    """Epochs after the warm-up; an epoch is one pass over the unlabelled images."""
    steps_per_epoch: int | None = None
    """Steps of an epoch, where it shall not be one pass over the unlabelled images."""
    batch_labeled: int = 8
    """Labelled images in a step, over all devices."""
    batch_unlabeled: int = 8
    """Unlabelled images in a step, over all devices."""
    images_per_gpu: int | None = None
    """Labelled images that a step has on one GPU of the published training, whatever the devices here: such a group of
    images shares the size of CutMix's boxes and is mixed among itself. Left out, a step's batch is one group."""
    drop_last: bool | None = None
    """Leave out the last, incomplete batch of a pass. Left out, it is dropped where a batch is cut into parts or groups
    and kept where it is not, as the published code does on several GPUs and on one."""
    loss_mean: Literal["batch", "gpu"] = "gpu"
    """Mean of the losses: the mean of each group's own (`gpu`, see --images-per-gpu), or over the pixels of the whole
    `batch`."""
    labeled_stream: Literal["fresh", "replay"] = "fresh"
    """`fresh` draws new views of a labelled image each time; `replay` repeats the same views within an epoch."""
    teacher_start: Literal["student", "random"] = "student"
    """Where the teachers' backbones start: from the `student`'s weights, or from `random` ones of their own, as torch
    draws them by default."""
    teacher_heads: Literal["auto", "torch", "kaiming"] = "auto"
    """How the rest of the teachers is drawn: as `torch` draws layers by default, or `kaiming` normal; `auto` is the
    latter where a batch is cut into groups, as the published code does on several GPUs and not on one."""
    pseudo_labels: Literal["eval", "train"] = "eval"
    """Mode of the teachers while they make pseudo-labels; `train` uses batch statistics, and running ones drift."""
    count_padding: bool = False
    """Count padded pixels in the unsupervised loss."""
    sup_loss: Literal["ce", "ohem"] = "ce"
    """Supervised loss: cross-entropy, or `ohem`, its mean over the hardest pixels."""
    ohem_threshold: float = 0.7
    """Pixels whose true class has a probability below this are hard."""
    ohem_kept: int = 50_000
    """Hard pixels that are kept at least, for each image."""
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
    cutmix: CutMix = "one"
    """Boxes of other unlabelled images, with their pseudo-labels, pasted into each, at places of its own: `one` square,
    `three` of any shape, or `none`."""
    perturbation: Perturbation = "tvat"
    """Adversarial noise on the student's features, made by the teachers (`tvat`) or by itself (`vat`)."""
    eps: float = PAPER_EPS
    """Norm of that noise, over all features of an image."""
    noise: Noise = "gaussian"
    """Where its search starts: a `gaussian` or `uniform` direction of norm xi, or, `literal`, N(0, I)."""
    xi: float | None = None
    """Norm of the search's small step; left out, sqrt(machine epsilon) of the features' norm."""
    norm_floor: float = 0.0
    """Added to each norm that the search divides by, in the published code's units (see the manual on its noise)."""
    ema: float = 0.996
    """Share of itself that a teacher keeps at each update."""
    best_by: Literal["ensemble", "teacher1"] = "ensemble"
    """Whose mIoU on the validation images decides which weights are `best`; without teachers, the student's does."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal:
                self._one_of(name, hint)
        self._require(self.xi is None or (math.isfinite(self.xi) and self.xi > 0), "xi", "above 0")
        self._require(0 < self.ohem_threshold <= 1, "ohem_threshold", "above 0, to 1")
        self._not_negative("warmup_epochs", "ramp_epochs", "unsup_weight", "norm_floor")
        self._positive("epochs", "batch_labeled", "batch_unlabeled", "eps", "assist_top", "ohem_kept")
        self._require(self.steps_per_epoch is None or self.steps_per_epoch > 0, "steps_per_epoch", "above 0")
        self._require(self.warmup_steps is None or self.warmup_steps >= 0, "warmup_steps", "0 or more")
        self._require(self.images_per_gpu is None or self.images_per_gpu > 0, "images_per_gpu", "above 0")
        self._require(0 <= self.confidence < 1, "confidence", "in [0, 1)")
        self._require(0 <= self.ema < 1, "ema", "in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class OptimConfig(_Group):
    """SGD with a polynomial decay after the warm-up."""

    lr: float = 0.01
    """Learning rate at the start; constant during the warm-up."""
    lr_batch: int | None = None
    """Labelled images in a step for which `lr` is meant; with another batch it changes in proportion. Left out, it is
    the same for every batch."""
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
        self._require(self.lr_batch is None or self.lr_batch > 0, "lr_batch", "above 0")
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
    precision: Precision = "fp32"
    """`fp32`, or mixed with `bf16` or `fp16`; the search of `fp16` stays in fp32."""
    accumulate: int = 1
    """Parts in which each device works through its share of a step's batch; more need less memory."""
    sync_batchnorm: bool = True
    """Share BatchNorm's statistics among GPUs; on CPUs each process has its own."""
    compile: bool = False
    """Compile the networks with torch.compile: slow to start, then faster."""
    val_every: int = 1
    """Epochs between two validations; the last epoch is always validated."""
    checkpoint_steps: int | None = None
    """Steps between two checkpoints inside an epoch; each epoch ends with one anyway."""
    checkpoint_minutes: float = 10.0
    """Minutes after which a checkpoint is written inside an epoch."""
    keep_last: int = 0
    """Epochs, counted from the last, whose weights are kept as epoch-NNNN.safetensors."""
    tensorboard: bool = False
    """Write TensorBoard events to the run folder (needs psmt-viz[tracking])."""
    log_every: int = 10
    """Steps between two entries of a tracker, such as TensorBoard."""

    def __post_init__(self) -> None:
        self._one_of("precision", Precision)
        self._not_negative("seed", "workers", "keep_last")
        self._positive("val_every", "accumulate", "checkpoint_minutes", "log_every")
        self._require(self.checkpoint_steps is None or self.checkpoint_steps > 0, "checkpoint_steps", "above 0")


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

    @property
    def groups(self) -> int:
        """GPUs of the published training that a step's batch stands for."""
        per_gpu = self.method.images_per_gpu
        return 1 if per_gpu is None else max(1, self.method.batch_labeled // per_gpu)

    @property
    def teacher_heads(self) -> Literal["torch", "kaiming"]:
        """How the teachers' heads are drawn."""
        asked = self.method.teacher_heads
        if asked != "auto":
            return asked
        return "kaiming" if self.groups > 1 else "torch"

    @property
    def learning_rate(self) -> float:
        """The learning rate at the start, for this configuration's batch."""
        scale = self.method.batch_labeled / self.optim.lr_batch if self.optim.lr_batch else 1.0
        return self.optim.lr * scale

    def as_dict(self) -> dict[str, Any]:
        """Returns plain nested values for JSON."""
        return asdict(self)

    def flat(self) -> dict[str, Any]:
        """Returns every setting by its flat name."""
        return {name: value for group in GROUPS for name, value in vars(getattr(self, group)).items()}

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

_NEUTRAL = (
    "workers",
    "accumulate",
    "compile",
    "checkpoint_steps",
    "checkpoint_minutes",
    "keep_last",
    "tensorboard",
    "log_every",
)


def fixed_settings(config: Config) -> dict[str, Any]:
    """Returns the settings on which a run's numbers depend; the others may change when it is resumed.

    The number of parts of a batch, which `accumulate` and the devices decide together, is in a run's plan.
    """
    settings = config.as_dict()
    settings["system"] = {name: value for name, value in settings["system"].items() if name not in _NEUTRAL}
    return settings
