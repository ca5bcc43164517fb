"""The weak and the strong view of a training image; both share one geometry.

What is drawn (`Geometry`, `Colors`) stands apart from what is done to pixels, so that either can be looked at alone.
Pixels lie in memory as decoders leave them, height x width x 3, because OpenCV changes their colours in that order and
some ten times as fast as torchvision does, with which tests compare it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vf

from psmt_viz.config import ViewConfig
from psmt_viz.methods.settings import VIEWS, View
from psmt_viz.metrics import IGNORE

MEAN_COLOUR = [124, 116, 104]
"""RGB of the padding: ImageNet's mean colour, on 0..255."""

_JITTER = ("brightness", "contrast", "saturation", "hue")
_KERNELS = (1, 3, 5)
_KERNEL_WEIGHTS = (2.0, 2.0, 0.95)
"""Of blur kernels 1, 3 and 5: the code draws a number below 4.95 and takes its floor, an even one raised by 1."""

# OpenCV rounds to the nearest level where torchvision takes the one below, which is that of half a level less.
_BELOW = -0.499
"""Half a level less where a level that is whole shall stay, rounded as it may be."""
_GREY = np.tile(np.array([0.2989, 0.587, 0.114, -0.501], np.float32), (3, 1))
"""Shares of red, green and blue in a grey level, for each of three equal channels. They sum up to less than 1, so that
a grey that is whole becomes the level below."""
_FULL_TURN = 360.0
_TO_LEVEL = 255.999 / 255
"""With which torchvision turns a share of 255 levels into the level below."""

Pixels = NDArray[Any]
"""(H, W, 3) uint8."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """An image, or several, seen once or twice; a view that nobody asked for is not there."""

    images: Mapping[View, Tensor]
    """Of each view, (3, crop, crop) or (B, 3, crop, crop) uint8."""
    label: Tensor
    """(crop, crop) or (B, crop, crop) uint8 class ids, 255 where there is none, padding included."""

    @property
    def weak(self) -> Tensor:
        """The weak view: scaled, padded, cropped, perhaps mirrored."""
        return self._view("weak")

    @property
    def strong(self) -> Tensor:
        """The strong view: the pixels of the weak one with other colours and blur."""
        return self._view("strong")

    def _view(self, name: View) -> Tensor:
        if name not in self.images:
            raise LookupError(f"no {name} view was made; `loaders` of a method's settings says which it needs")
        return self.images[name]


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


def use_one_thread() -> None:
    """Keeps OpenCV's threads from starting in this process and those forked from it.

    A view is too small for them, and they would not outlive a fork.
    """
    cv2.setNumThreads(1)


def draw_views(
    image: Tensor, label: Tensor, config: ViewConfig, *, seed: int, views: Collection[View] = VIEWS
) -> Views:
    """Draws views of an image.

    Args:
        image: (3, H, W) uint8 RGB.
        label: (H, W) uint8 class ids, 255 where there is none.
        config: Crop and range of scales.
        seed: The views are a function of the image and this number alone.
        views: Which are made; each is the same whether the other is made or not.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), section 4.1;
    everything that it leaves open is that of the published code.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = image.shape[-2:]
    geometry = draw_geometry((height, width), config, generator)
    weak, mask = apply_geometry(image, label, geometry, config.crop)
    images: dict[View, Tensor] = {}
    if "weak" in views:
        images["weak"] = _planes(weak)
    if "strong" in views:
        images["strong"] = _planes(apply_colors(weak, draw_colors(config, generator)))
    return Views(images=images, label=mask)


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


def apply_geometry(image: Tensor, label: Tensor, geometry: Geometry, crop: int) -> tuple[Tensor, Tensor]:
    """Scales, pads, crops and mirrors an image (3, H, W) and its label (H, W) to (3, crop, crop) and (crop, crop).

    Images are resized bicubically, with antialiasing, labels to the nearest pixel.
    """
    resized = vf.resize(image, list(geometry.size), interpolation=InterpolationMode.BICUBIC, antialias=True)
    window = tuple(
        slice(first, min(first + crop, side))
        for first, side in zip((geometry.top, geometry.left), geometry.size, strict=True)
    )
    rows, columns = (
        _nearest(old, new)[inside] for old, new, inside in zip(label.shape, geometry.size, window, strict=True)
    )
    pixels, ids = _pixels(resized)[window], label.numpy()[rows][:, columns]
    below, beside = crop - len(rows), crop - len(columns)
    left, right = (beside, 0) if geometry.mirrored else (0, beside)
    if geometry.mirrored:
        pixels, ids = cv2.flip(pixels, 1), cv2.flip(ids, 1)
    if below or beside:
        pixels = cv2.copyMakeBorder(pixels, 0, below, left, right, cv2.BORDER_CONSTANT, value=MEAN_COLOUR)
        ids = cv2.copyMakeBorder(ids, 0, below, left, right, cv2.BORDER_CONSTANT, value=IGNORE)
    return torch.from_numpy(pixels).permute(2, 0, 1), torch.from_numpy(np.ascontiguousarray(ids))


def apply_colors(image: Tensor, colors: Colors) -> Tensor:
    """Changes the colours of an image (3, H, W) uint8, rounding to whole levels after each change."""
    pixels = _pixels(image)
    for name in colors.order:
        pixels = _CHANGES[name](pixels, colors.factors[name])
    if colors.gray:
        pixels = _grey(pixels)
    if colors.kernel is not None and colors.kernel > 1:
        side = (colors.kernel, colors.kernel)
        pixels = cv2.GaussianBlur(pixels, side, colors.sigma, borderType=cv2.BORDER_REFLECT_101)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _brightness(pixels: Pixels, factor: float) -> Pixels:
    return cv2.LUT(pixels, _levels(factor, 0.0))


def _contrast(pixels: Pixels, factor: float) -> Pixels:
    """Moves levels away from the mean grey level, or towards it."""
    mean = cv2.mean(_grey(pixels))[0]
    return cv2.LUT(pixels, _levels(factor, (1 - factor) * mean))


def _levels(factor: float, offset: float) -> Pixels:
    """Returns what becomes of each of the 256 levels: the level below, from 0 to 255."""
    return np.clip(np.arange(256, dtype=np.float32) * np.float32(factor) + np.float32(offset), 0, 255).astype(np.uint8)


def _saturation(pixels: Pixels, factor: float) -> Pixels:
    return cv2.addWeighted(pixels, factor, _grey(pixels), 1 - factor, _BELOW)


def _hue(pixels: Pixels, shift: float) -> Pixels:
    """Turns the hue; in float32, because OpenCV's hues of 8 bits are 1.4 degrees apart, several levels of a colour."""
    colours = cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2HSV)
    # OpenCV takes hues above a full turn for what they are, and negative ones not.
    cv2.add(colours, np.array([shift % 1 * _FULL_TURN, 0, 0, 0]), dst=colours)
    return cv2.convertScaleAbs(cv2.cvtColor(colours, cv2.COLOR_HSV2RGB), alpha=_TO_LEVEL, beta=_BELOW)


def _grey(pixels: Pixels) -> Pixels:
    return cv2.transform(pixels, _GREY)


_CHANGES = {"brightness": _brightness, "contrast": _contrast, "saturation": _saturation, "hue": _hue}


def _pixels(image: Tensor) -> Pixels:
    """Returns an image (3, H, W) as an array (H, W, 3)."""
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def _planes(image: Tensor) -> Tensor:
    """Returns an image (3, H, W) laid out plane by plane, from pixel by pixel."""
    planes = torch.empty(image.shape, dtype=torch.uint8)
    cv2.split(image.permute(1, 2, 0).numpy(), list(planes.numpy()))
    return planes


def _nearest(old: int, new: int) -> NDArray[np.int64]:
    """Returns the source index of each of `new` pixels, floor(i / scale) as the published code's libraries round it."""
    # The reciprocal first: where i / scale is a whole number, the order of the two divisions decides.
    step = 1 / (new / old)
    return np.minimum((np.arange(new) * step).astype(np.int64), old - 1)


def _chance(probability: float, generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < probability


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
