"""Perturbations that an adversarial one is held against."""

from __future__ import annotations

import torch
from torch import Tensor

from psmt_viz.perturb.adversarial import Health, Perturbed, norm_per_image


def random_perturbation(z: Tensor, *, eps: float = 2.0, generator: torch.Generator | None = None) -> Perturbed:
    """Draws a Gaussian direction of norm eps for each image: the control of equal size.

    Args:
        z: (B, C, H, W) features.
        eps: Norm over all of C * H * W, for each image.
        generator: Source of the draw, on z's device.
    """
    draw = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
    start = draw / norm_per_image(draw).to(z.dtype)
    delta = eps * start
    norm = norm_per_image(delta)
    health = Health(
        norm=norm.flatten(),
        relative_norm=(norm / norm_per_image(z)).flatten(),
        unchanged=torch.zeros(len(z), device=z.device),
    )
    return Perturbed(delta=delta, start=start, health=health)
