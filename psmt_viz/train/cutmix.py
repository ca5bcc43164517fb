"""CutMix: boxes of other images, with all that belongs to them, pasted into an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

_BOXES = 3
"""Boxes of an image in the Cityscapes form."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box in each image of a batch, and the partner from which the image receives it."""

    corners: Tensor
    """(B, 4) int64: top, left, bottom and right, in pixels; the last two lie outside the box."""
    partner: Tensor
    """(B,) int64 index of the image whose pixels are pasted."""

    def mask(self, height: int, width: int) -> Tensor:
        """Returns which pixels lie inside each image's box, (B, height, width) truth values."""
        top, left, bottom, right = self.corners.unbind(dim=1)
        rows = torch.arange(height, device=self.corners.device)
        columns = torch.arange(width, device=self.corners.device)
        inside_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
        inside_columns = (columns >= left[:, None]) & (columns < right[:, None])
        return inside_rows[:, :, None] & inside_columns[:, None, :]


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Boxes that are pasted one after the other; where two overlap, the later one shows."""

    boxes: tuple[Box, ...]

    def paste(self, values: Tensor) -> Tensor:
        """Returns values (B, ..., H, W) with the partners' own, unmixed values inside the boxes."""
        mixed = values
        for box in self.boxes:
            mask = box.mask(*values.shape[-2:])
            mask = mask.view(len(mask), *[1] * (values.ndim - 3), *mask.shape[-2:])
            mixed = torch.where(mask, values[box.partner], mixed)
        return mixed


def joined(mixes: Sequence[Mix]) -> Mix:
    """Returns one mix of several groups of images that follow each other in a batch; partners stay in their group."""
    boxes = []
    for parts in zip(*(mix.boxes for mix in mixes), strict=True):
        first, partners = 0, []
        for part in parts:
            partners.append(part.partner + first)
            first += len(part.partner)
        boxes.append(Box(corners=torch.cat([part.corners for part in parts]), partner=torch.cat(partners)))
    return Mix(boxes=tuple(boxes))


def draw_mix(
    kind: Literal["one", "three"],
    batch: int,
    height: int,
    width: int,
    *,
    size: torch.Generator,
    places: Sequence[torch.Generator],
    partners: torch.Generator,
    device: str | torch.device = "cpu",
) -> Mix:
    """Draws the boxes and the partners of a batch.

    `one` is a box of the same size in every image, at a place of its own: it covers 1 - lambda of the image before it
    is cut at the border, lambda ~ Beta(4, 4), and its centre is uniform in [side of the image / 8, side). Partners are
    a permutation of the batch.

    `three` boxes in every image, each with its own size, shape, place and partner: an area share p uniform in
    [1/4, 1/2], a height p^u with u uniform in [0, 1) and a width p / height, both divided by sqrt(3), wholly inside. A
    partner is any image of the batch, the image itself too.

    Args:
        kind: `one`, as for Pascal VOC, or `three`, as for Cityscapes.
        batch: Images in the batch.
        height: Height of the images.
        width: Width of the images.
        size: Source of the one box's size, on the CPU.
        places: Source of each image's places and, of three boxes, of sizes and partners; on the CPU.
        partners: Source of the permutation, on the CPU.
        device: Where the result goes.

    CutMix (Yun et al., 2019), eq. 1; parameters of the PS-MT authors' code.
    """
    if kind == "one":
        # A Beta(4, 4) variable is the 4th smallest of 7 uniform ones; torch's own Beta takes no generator.
        side = math.sqrt(1 - torch.rand(7, generator=size).sort().values[3].item())
        corners = [_square(side, height, width, generator) for generator in places]
        permutation = torch.randperm(batch, generator=partners)
        return Mix(boxes=(Box(corners=_sent(torch.tensor(corners), device), partner=_sent(permutation, device)),))
    drawn = [[_rectangle(height, width, batch, generator) for _ in range(_BOXES)] for generator in places]
    table = _sent(torch.tensor(drawn), device)
    return Mix(boxes=tuple(Box(corners=table[:, i, :4], partner=table[:, i, 4]) for i in range(_BOXES)))


def _sent(table: Tensor, device: str | torch.device) -> Tensor:
    """Returns a few numbers on the device, which nobody waits for: what is not pinned is copied away at once."""
    return table.to(device, non_blocking=True)


def _square(side: float, height: int, width: int, generator: torch.Generator) -> tuple[int, int, int, int]:
    edges = []
    for length in (height, width):
        half = int(length * side) // 2
        centre = int(torch.randint(length // 8, length, (), generator=generator))
        edges.append((max(0, centre - half), min(length, centre + half)))
    (top, bottom), (left, right) = edges
    return top, left, bottom, right


def _rectangle(height: int, width: int, batch: int, generator: torch.Generator) -> tuple[int, int, int, int, int]:
    """Returns the corners of a box and its partner."""
    area, shape, down, across = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    area = 0.25 + 0.25 * area
    tall = area**shape
    rows, columns = (
        round(length * share / math.sqrt(_BOXES)) for length, share in ((height, tall), (width, area / tall))
    )
    top, left = round((height - rows) * down), round((width - columns) * across)
    partner = int(torch.randint(batch, (), generator=generator))
    return top, left, top + rows, left + columns, partner
