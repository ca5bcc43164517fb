"""The exact direction that the finite difference approximates."""

from __future__ import annotations

import torch
from torch import Tensor

from psmt_viz.perturb.adversarial import Predict, norm_per_image


def curvature_product(predict: Predict, z: Tensor, direction: Tensor) -> Tensor:
    """Returns the Hessian at r = 0 of KL(p(z) || p(z + r)), times a direction.

    At r = 0 the Hessian is J^T (diag(p) - p p^T) J with J the Jacobian of the logits: a forward-mode product through
    the network, the softmax's covariance at each pixel, and a reverse-mode product back.

    Args:
        predict: Maps z to logits (B, K, H', W').
        z: (B, C, H, W) features; float64 gives a reference.
        direction: (B, C, H, W).

    Returns:
        (B, C, H, W), without a graph.
    """
    logits, moved = torch.func.jvp(predict, (z.detach(),), (direction.detach(),))  # type: ignore[misc]
    p = logits.softmax(dim=1)
    weighted = p * (moved - (p * moved).sum(dim=1, keepdim=True))
    _, pull_back = torch.func.vjp(predict, z.detach())  # type: ignore[misc]
    return pull_back(weighted)[0].detach()


def direction_cosine(predict: Predict, z: Tensor, start: Tensor, delta: Tensor) -> Tensor:
    """Returns the cosine between a perturbation and the exact direction of one power iteration, (B,).

    Args:
        predict: Maps z to logits, in the precision of the reference (float64).
        z: (B, C, H, W) features, in that precision.
        start: (B, C, H, W) the direction from which the search began.
        delta: (B, C, H, W) the perturbation that was found.
    """
    exact = curvature_product(predict, z, start.to(z.dtype))
    found = delta.to(z.dtype)
    return (
        (exact * found).flatten(1).sum(1, keepdim=True)[..., None, None] / norm_per_image(exact) / norm_per_image(found)
    ).flatten()
