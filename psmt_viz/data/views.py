"""The weak and the strong view of a training image; both share one geometry.

What is drawn (`Geometry`, `Colors`) stands apart from what is done to pixels, so that either can be looked at alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vf

from psmt_viz.config import ViewConfig
from psmt_viz.metrics import IGNORE

MEAN_COLOUR = [124.0, 116.0, 104.0]
"""RGB of the padding: ImageNet's mean colour, on 0..255."""

_JITTER = ("brightness", "contrast", "saturation", "hue")
_CHANGES = {
    "brightness": vf.adjust_brightness,
    "contrast": vf.adjust_contrast,
    "saturation": vf.adjust_saturation,
    "hue": vf.adjust_hue,
}
_KERNELS = (1, 3, 5)
_KERNEL_WEIGHTS = (2.0, 2.0, 0.95)
"""Of blur kernels 1, 3 and 5: the code draws a number below 4.95 and takes its floor, an even one raised by 1."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """One image, seen twice."""

    weak: Tensor
    """(3, crop, crop) uint8: scaled, padded, cropped, perhaps mirrored."""
    strong: Tensor
    """(3, crop, crop) uint8: the same pixels with other colours and blur."""
    label: Tensor
    """(crop, crop) uint8 class ids, 255 where there is none, padding included."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How an image is scaled, cropped and mirrored."""

    size: tuple[int, int]
    """Height and width to which it is resized."""
    top: int
    """First row of the crop, after padding below and to the right."""
    left: int
    """First column of the crop."""
    mirrored: bool


@dataclass(frozen=True, kw_only=True)
class Colors:
    """How the colours of the strong view differ from those of the weak one."""

    order: tuple[str, ...] = ()
    """Changes of `brightness`, `contrast`, `saturation` and `hue`, in the order in which they are made, or none."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """Factor of each change; of hue, the shift as a share of the circle."""
    gray: bool = False
    kernel: int | None = None
    """Side of the blur's kernel in pixels; 1 leaves the image as it is, and None is no blur."""
    sigma: float = 0.0
    """Standard deviation of the blur, in pixels."""


def draw_views(image: Tensor, label: Tensor, config: ViewConfig, *, seed: int) -> Views:
    """Draws the two views of an image.

    Args:
        image: (3, H, W) uint8 RGB.
        label: (H, W) uint8 class ids, 255 where there is none.
        config: Crop and range of scales.
        seed: The views are a function of the image and this number alone.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), section 4.1;
    everything that it leaves open is that of the published code.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = image.shape[-2:]
    geometry = draw_geometry((height, width), config, generator)
    weak, mask = apply_geometry(image, label, geometry, config.crop)
    return Views(weak=weak, strong=apply_colors(weak, draw_colors(config, generator)), label=mask)


def draw_geometry(size: tuple[int, int], config: ViewConfig, generator: torch.Generator) -> Geometry:
    """Draws the geometry of an image of a size (height, width)."""
    if config.base_size is None:
        low, high = config.long_side
        long = int(torch.randint(low, high + 1, (), generator=generator))
        # Halves go up, not to the even number.
        scaled = tuple(long if side == max(size) else int(long * side / max(size) + 0.5) for side in size)
    else:
        scale = _uniform(0.5, 2.0, generator)
        scaled = tuple(int(side * scale) for side in config.base_size)
    height, width = (max(1, side) for side in scaled)
    top, left = (
        int(torch.randint(0, max(side, config.crop) - config.crop + 1, (), generator=generator))
        for side in (height, width)
    )
    return Geometry(size=(height, width), top=top, left=left, mirrored=_chance(0.5, generator))


def draw_colors(config: ViewConfig, generator: torch.Generator) -> Colors:
    """Draws the colours of a strong view: jitter with probability 0.8, grey with 0.2, blur with 0.5."""
    order: tuple[str, ...] = ()
    factors = {}
    if _chance(0.8, generator):
        order = tuple(_JITTER[i] for i in torch.randperm(len(_JITTER), generator=generator).tolist())
        for name, strength in zip(_JITTER, config.jitter, strict=True):
            centre = 0.0 if name == "hue" else 1.0
            factors[name] = _uniform(centre - strength, centre + strength, generator)
    gray = _chance(0.2, generator)
    if not _chance(0.5, generator):
        return Colors(order=order, factors=factors, gray=gray)
    weights = torch.tensor(_KERNEL_WEIGHTS)
    kernel = _KERNELS[int(torch.multinomial(weights, 1, generator=generator))]
    sigma = _uniform(0.1, 2.0, generator)
    return Colors(order=order, factors=factors, gray=gray, kernel=kernel, sigma=sigma)


def resized_pair(image: Tensor, label: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Resizes an image bicubically, with antialiasing, and its label to the nearest pixel.

    Args:
        image: (3, H, W) uint8.
        label: (H, W) uint8.
        size: New height and width.
    """
    pixels = vf.resize(image, list(size), interpolation=InterpolationMode.BICUBIC, antialias=True)
    rows, columns = (_nearest(old, new) for old, new in zip(label.shape, size, strict=True))
    return pixels, label[rows][:, columns]


def apply_geometry(image: Tensor, label: Tensor, geometry: Geometry, crop: int) -> tuple[Tensor, Tensor]:
    """Scales, pads, crops and mirrors an image (3, H, W) and its label (H, W) to (3, crop, crop) and (crop, crop)."""
    image, label = resized_pair(image, label, geometry.size)
    below, right = (max(0, crop - side) for side in geometry.size)
    image = vf.pad(image, [0, 0, right, below], fill=MEAN_COLOUR)
    label = vf.pad(label[None], [0, 0, right, below], fill=IGNORE)[0]
    window = (..., slice(geometry.top, geometry.top + crop), slice(geometry.left, geometry.left + crop))
    image, label = image[window], label[window]
    if geometry.mirrored:
        image, label = image.flip(-1), label.flip(-1)
    return image.contiguous(), label.contiguous()


def apply_colors(image: Tensor, colors: Colors) -> Tensor:
    """Changes the colours of an image (3, H, W) uint8, rounding to whole levels after each change."""
    for name in colors.order:
        image = _CHANGES[name](image, colors.factors[name])
    if colors.gray:
        image = vf.rgb_to_grayscale(image, num_output_channels=3)
    if colors.kernel is not None and colors.kernel > 1:
        image = vf.gaussian_blur(image, [colors.kernel] * 2, [colors.sigma] * 2)
    return image


def _nearest(old: int, new: int) -> Tensor:
    """Returns the source index of each of `new` pixels, floor(i / scale) as the published code's libraries round it."""
    # The reciprocal first: where i / scale is a whole number, the order of the two divisions decides.
    step = 1 / (new / old)
    return (torch.arange(new, dtype=torch.float64) * step).long().clamp(max=old - 1)


def _chance(probability: float, generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < probability


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
