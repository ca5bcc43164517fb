"""CutMix: boxes of other images, with all that belongs to them, pasted into an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of one size for the whole batch and the partner from which each image receives it."""

    mask: Tensor
    """(H, W) truth values: inside the box?"""
    partner: Tensor
    """(B,) index of the image whose box is pasted."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Boxes that are pasted one after the other; where two overlap, the later one shows."""

    boxes: tuple[Box, ...]

    def paste(self, values: Tensor) -> Tensor:
        """Returns values (B, ..., H, W) with the partners' own values inside the boxes."""
        mixed = values
        for box in self.boxes:
            mixed = torch.where(box.mask, values[box.partner], mixed)
        return mixed


def draw_mix(
    kind: Literal["one", "three"],
    batch: int,
    height: int,
    width: int,
    *,
    boxes: torch.Generator,
    partners: torch.Generator,
    device: str | torch.device = "cpu",
) -> Mix:
    """Draws the boxes and the partners of a batch.

    `one` box covers 1 - lambda of the image before it is cut at the border, lambda ~ Beta(4, 4). Each of `three` covers
    a third of an area that is uniform in [1/4, 1/2], and has partners of its own. A box's centre is uniform in
    [side / 8, side).

    Args:
        kind: `one`, as for Pascal VOC, or `three`, as for Cityscapes.
        batch: Images in the batch.
        height: Height of the images.
        width: Width of the images.
        boxes: Source of sizes and places, on the CPU.
        partners: Source of the partners, on the CPU; parts of one batch share their boxes, but not their partners.
        device: Where the result goes.

    CutMix (Yun et al., 2019), eq. 1; parameters of the PS-MT authors' code.
    """
    drawn = []
    for _ in range({"one": 1, "three": 3}[kind]):
        if kind == "one":
            # A Beta(4, 4) variable is the 4th smallest of 7 uniform ones; torch's own Beta takes no generator.
            area = 1 - torch.rand(7, generator=boxes).sort().values[3].item()
        else:
            area = (0.25 + 0.25 * torch.rand((), generator=boxes).item()) / 3
        mask = _draw_mask(area**0.5, height, width, boxes)
        drawn.append(Box(mask=mask.to(device), partner=torch.randperm(batch, generator=partners).to(device)))
    return Mix(boxes=tuple(drawn))


def _draw_mask(side: float, height: int, width: int, generator: torch.Generator) -> Tensor:
    edges = []
    for length in (height, width):
        cut = int(length * side)
        centre = int(torch.randint(length // 8, length, (), generator=generator))
        edges.append((max(0, centre - cut // 2), min(length, centre + cut // 2)))
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[slice(*edges[0]), slice(*edges[1])] = True
    return mask
