"""The groups of settings that every method has: data, network, views, optimiser and system."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from psmt_viz.architectures import ARCHITECTURES
from psmt_viz.errors import UserError
from psmt_viz.settings import Group

if TYPE_CHECKING:
    Arch = str
else:
    Arch = Literal[tuple(ARCHITECTURES)]
Precision = Literal["fp32", "bf16", "fp16"]
Cache = Literal["auto", "on", "off"]


@dataclass(frozen=True, kw_only=True)
class DataConfig(Group):
    """Which images a run learns from."""

    data: str = "scenes"
    """`scenes`, the built-in synthetic data set; a folder of images and masks; or `module:name` of a data set of your
    own."""
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
    image_dir: str | None = None
    """The folder of the images, below that of the data set, where it is not found by its name."""
    mask_dir: str | None = None
    """The folder of the masks, below that of the data set, where it is not found by its name."""
    pair: str | None = None
    """A regular expression whose group is what the paths of an image and its mask share: `(\\d+)_` for 21_photo.tif and
    21_manual1.gif."""
    mask_values: tuple[int, ...] = ()
    """The numbers in the masks that stand for the first class, the second, ...: `0 255` for black and white masks.
    Empty: 0, 1, 2, ..."""
    ignore_index: int | None = None
    """A number in the masks that stands for no class, beside 255."""
    reduce_zero_label: bool = False
    """0 in the masks stands for no class, and 1 for the first class."""
    palette: str | None = None
    """The colours of masks in colours: `voc`, `cityscapes`, or a file of lines `name,red,green,blue`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        values = self.mask_values
        inside = all(0 <= value < 2**16 for value in values) and len(set(values)) == len(values) != 1
        self._require(inside, "mask_values", "of two or more different numbers from 0 to 65535")
        ignore = self.ignore_index
        self._require(ignore is None or 0 <= ignore < 2**16, "ignore_index", "from 0 to 65535")
        self._require(ignore not in values, "ignore_index", "none of --mask-values")
        self._require(not (values and self.reduce_zero_label), "mask_values", "left out with --reduce-zero-label")
        if self.pair is not None:
            self._require(_groups(self.pair) > 0, "pair", "a regular expression with a group, such as (\\d+)_")

    def given(self) -> dict[str, Any]:
        """Returns what is said of the folder: all but its path and the split, where it is not the default."""
        own = {setting.name: setting.default for setting in fields(self)}
        return {
            name: value for name, value in vars(self).items() if name not in ("data", "split") and value != own[name]
        }


def _groups(pattern: str) -> int:
    """Returns how many groups a regular expression has; -1 if it is none."""
    try:
        return re.compile(pattern).groups
    except re.error:
        return -1


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Group):
    """The network: DeepLabV3+ on any convolutional backbone of timm, or one of published code."""

    arch: Arch = "deeplabv3plus"
    """`deeplabv3plus`, or the network of a published code, whose checkpoints can be imported; its widths and dilations
    are fixed, and it has few backbones."""
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
        super().__post_init__()
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
class ViewConfig(Group):
    """The weak and the strong view of an image; both share one geometry."""

    crop: int = 512
    """Side of the square crop, in pixels."""
    long_side: tuple[int, int] = (300, 1200)
    """The image's longer side is scaled to a length drawn uniformly from this range, in pixels."""
    base_size: tuple[int, int] | None = None
    """Height and width to which every image is scaled, times a factor drawn uniformly from 0.5 to 2, in place of
    `long_side`; as the published code does for Cityscapes."""
    jitter: tuple[float, float, float, float] = (0.5, 0.5, 0.5, 0.25)
    """Strength of the strong view's change of brightness, contrast, saturation and hue."""
    window: int | None = None
    """Side of the window that slides over validation images, in pixels. Default: whole images."""
    window_stride: float = 2 / 3
    """Step of that window, as a share of its side, rounded up to whole pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
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
class OptimConfig(Group):
    """SGD with a polynomial decay after the warm-up."""

    lr: float = 0.01
    """Learning rate at the start; constant during the warm-up."""
    lr_batch: int | None = None
    """Labelled images per step to which `lr` refers; for other batches it is scaled linearly. Default: no scaling."""
    head_lr_factor: float = 1.0
    """Learning rate of everything but the backbone, as a multiple of `lr`."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 1e-4
    """Weight decay of convolution weights; normalisation layers and biases have none."""
    power: float = 0.9
    """Exponent of the polynomial decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("lr", "head_lr_factor", "power")
        self._require(self.lr_batch is None or self.lr_batch > 0, "lr_batch", "above 0")
        self._not_negative("momentum", "weight_decay")


@dataclass(frozen=True, kw_only=True)
class SystemConfig(Group):
    """Seed, devices and files: what is no part of the method."""

    seed: int = 0
    """Determines everything random."""
    workers: int | None = None
    """Processes that load images, for each device; 0 loads them in the training process. Results do not depend on it.
    Default: on a GPU one for each core but one, up to 8, unless crops and batch are small; else 0."""
    cache: Cache = "auto"
    """Keep the decoded training images in memory: `on`, as many as fit; `off`, none; `auto`, all of a folder's if they
    fit into half of the free memory. Results do not depend on it."""
    channels_last: bool = False
    """Lay tensors out with channels last, which changes numbers by rounding: faster on GPUs with `bf16`, and on a CPU a
    third for networks of depthwise convolutions and a little for ResNets."""
    precision: Precision = "fp32"
    """`fp32`, or mixed precision with `bf16` or `fp16`. The search for the noise keeps its direction: with `bf16` by a
    central difference, with `fp16` by staying in fp32."""
    accumulate: int = 1
    """Micro-batches into which each device cuts its share of a step's batch (gradient accumulation); more need less
    memory."""
    sync_batchnorm: bool = True
    """Share BatchNorm's statistics among GPUs; on CPUs each process has its own."""
    compile: bool = False
    """Compile the networks with torch.compile for images of the crop's size: slow to start, then faster."""
    val_every: int = 1
    """Epochs between two validations; the last epoch is always validated."""
    val_images: int | None = None
    """Validation images that the training scores, counted from the first. Default: all."""
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
        super().__post_init__()
        self._not_negative("seed", "keep_last")
        self._require(self.workers is None or self.workers >= 0, "workers", "0 or more")
        self._positive("val_every", "accumulate", "checkpoint_minutes", "log_every")
        self._require(self.val_images is None or self.val_images > 0, "val_images", "above 0")
        self._require(self.checkpoint_steps is None or self.checkpoint_steps > 0, "checkpoint_steps", "above 0")
