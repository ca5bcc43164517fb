"""The weak and the strong view of a training image; both share one geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vf

from psmt_viz.config import ViewConfig
from psmt_viz.metrics import IGNORE

MEAN_COLOUR = [124.0, 116.0, 104.0]
"""RGB of the padding: ImageNet's mean colour, on 0..255."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """One image, seen twice."""

    weak: Tensor
    """(3, crop, crop) uint8: scaled, padded, cropped, perhaps mirrored."""
    strong: Tensor
    """(3, crop, crop) uint8: the same pixels with other colours and blur."""
    label: Tensor
    """(crop, crop) uint8 class ids, 255 where there is none, padding included."""


def draw_views(image: Tensor, label: Tensor, config: ViewConfig, *, seed: int) -> Views:
    """Draws the two views of an image.

    Args:
        image: (3, H, W) uint8 RGB.
        label: (H, W) uint8 class ids, 255 where there is none.
        config: Crop and range of scales.
        seed: The views are a function of the image and this number alone.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), section 4.1;
    colour jitter, grey and blur with the strengths of the published code.
    """
    # The transforms draw from torch's global generator, which belongs to the caller.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pixels, mask = _one_geometry(tv_tensors.Image(image), tv_tensors.Mask(label), config)
        return Views(weak=pixels, strong=_strong(config)(pixels), label=mask)


@cache
def _strong(config: ViewConfig) -> v2.Transform:
    return v2.Compose(
        [
            v2.RandomApply([v2.ColorJitter(*config.jitter)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply(
                # A kernel of 1 leaves the image as it is.
                [v2.RandomChoice([v2.Identity(), v2.GaussianBlur(3, (0.1, 2.0)), v2.GaussianBlur(5, (0.1, 2.0))])],
                p=0.5,
            ),
        ]
    )


def _one_geometry(image: Tensor, label: Tensor, config: ViewConfig) -> tuple[Tensor, Tensor]:
    height, width = image.shape[-2:]
    low, high = config.long_side
    scale = int(torch.randint(low, high + 1, ())) / max(height, width)
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    image = vf.resize(image, size, antialias=True)
    label = vf.resize(label, size, interpolation=v2.InterpolationMode.NEAREST_EXACT)
    right, below = max(0, config.crop - size[1]), max(0, config.crop - size[0])
    image = vf.pad(image, [0, 0, right, below], fill=MEAN_COLOUR)
    label = vf.pad(label, [0, 0, right, below], fill=IGNORE)
    top = int(torch.randint(0, image.shape[-2] - config.crop + 1, ()))
    left = int(torch.randint(0, image.shape[-1] - config.crop + 1, ()))
    image, label = (vf.crop(view, top, left, config.crop, config.crop) for view in (image, label))
    if torch.rand(()) < 0.5:
        image, label = vf.horizontal_flip(image), vf.horizontal_flip(label)
    return image.as_subclass(Tensor), label.as_subclass(Tensor)
