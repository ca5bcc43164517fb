"""Perturbations that an adversarial one is held against."""

from __future__ import annotations

import torch
from torch import Tensor

from psmt_viz.perturb.adversarial import Generators, Health, Perturbed, norm_per_image, random_like


def random_perturbation(z: Tensor, *, eps: float = 2.0, generator: Generators = None) -> Perturbed:
    """Draws a Gaussian direction of norm eps for each image: the control of equal size.

    Args:
        z: (B, C, H, W) features.
        eps: Norm over all of C * H * W, for each image.
        generator: Source of the draw, on z's device.
    """
    draw = random_like(z, generator)
    start = draw / norm_per_image(draw).to(z.dtype)
    delta = eps * start
    norm = norm_per_image(delta)
    health = Health(
        norm=norm.flatten(),
        relative_norm=(norm / norm_per_image(z)).flatten(),
        unchanged=torch.zeros(len(z), device=z.device),
    )
    return Perturbed(delta=delta, start=start, health=health)
