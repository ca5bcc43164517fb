"""CutMix: a box of one image, with all that belongs to it, pasted into another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of one size for the whole batch and the partner from which each image receives it."""

    mask: Tensor
    """(H, W) truth values: inside the box?"""
    partner: Tensor
    """(B,) index of the image whose box is pasted."""

    def paste(self, values: Tensor) -> Tensor:
        """Returns values (B, ..., H, W) with the partner's inside the box."""
        return torch.where(self.mask, values[self.partner], values)


def draw_box(batch: int, height: int, width: int, *, generator: torch.Generator, device: str = "cpu") -> Box:
    """Draws the box and the partners of a batch.

    The box covers 1 - lambda of the image before it is cut at the border, lambda ~ Beta(4, 4); its centre is uniform in
    [side / 8, side).

    Args:
        batch: Images in the batch.
        height: Height of the images.
        width: Width of the images.
        generator: Source of the draw, on the CPU.
        device: Where the result goes.

    CutMix (Yun et al., 2019), eq. 1; parameters of the PS-MT authors' code.
    """
    # A Beta(4, 4) variable is the 4th smallest of 7 uniform ones; torch's own Beta takes no generator.
    lam = torch.rand(7, generator=generator).sort().values[3].item()
    side = (1 - lam) ** 0.5
    edges = []
    for length in (height, width):
        cut = int(length * side)
        centre = int(torch.randint(length // 8, length, (), generator=generator))
        edges.append((max(0, centre - cut // 2), min(length, centre + cut // 2)))
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[slice(*edges[0]), slice(*edges[1])] = True
    partner = torch.randperm(batch, generator=generator)
    return Box(mask=mask.to(device), partner=partner.to(device))
