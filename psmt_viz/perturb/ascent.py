"""The upper bound that a search can be held against: many steps of ascent on the sphere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from psmt_viz.errors import UserError
from psmt_viz.kinds import PAPER_EPS
from psmt_viz.perturb.adversarial import Perturbed, check_gradient, check_inputs, objective_of, perturbed
from psmt_viz.perturb.norms import scaled
from psmt_viz.perturb.objectives import Predict, gradient
from psmt_viz.search import Norm, Objective

_FIRST_STEP = 0.5
"""Length of the first step on the sphere of radius 1; the steps shrink linearly to a tenth of it."""


def projected_ascent(
    predict: Predict,
    z: Tensor,
    *,
    start: Tensor,
    eps: float | Sequence[float] = PAPER_EPS,
    steps: int = 10,
    norm: Norm = "image",
    objective: Objective = "kl",
    labels: Tensor | None = None,
) -> Perturbed:
    """Raises an objective by gradient steps on the sphere of radius eps, and keeps each image's best point.

    Unlike a power iteration, which knows the objective's curvature at z alone, it follows the objective at distance
    eps, so it depends on eps.

    Args:
        predict: Maps z to logits (B, K, H', W'); differentiable in z.
        z: (B, C, H, W) features, or (1, C, H, W) for several ascents from one place; not changed.
        start: (B, C, H, W) the direction to begin with, for example that of VAT; the result is never below it.
        eps: Norm of the perturbation, of all of them or of each.
        steps: Gradient steps, each a pass through the network and back.
        norm: What eps bounds (see `adversarial_perturbation`).
        objective: What to raise: `kl` or `cross-entropy`.
        labels: (B, H', W') class ids for cross-entropy, or (1, H', W').

    Returns:
        The perturbation; `gain` is the objective reached over that of the start.

    Raises:
        UserError: as `adversarial_perturbation`, or if steps is below 1.

    Towards Deep Learning Models Resistant to Adversarial Attacks (Madry et al., 2018), section 2.1, on a sphere.
    """
    each = [float(eps)] if isinstance(eps, int | float) else list(eps)
    for one in each:
        check_inputs(z, eps=one)
    if steps < 1:
        raise UserError("at least 1 step of ascent", f"{steps}", "raise steps")
    z = z.detach()
    sizes = torch.tensor(each, dtype=z.dtype, device=z.device)[:, None, None, None]
    if labels is not None:
        labels = labels.expand(len(start), -1, -1)
    value = objective_of(predict, z, objective, labels)
    first = scaled(start.to(z), norm=norm)
    direction = best = first
    # The first value seen is the start's; `reached` begins below everything.
    reached = torch.full((len(first),), -torch.inf, device=z.device)
    at_start = reached
    for step in range(steps + 1):
        if step == steps:
            with torch.no_grad():
                values = value(sizes * direction)
        else:
            values, found = gradient(value, sizes * direction)
            check_gradient(found)
        at_start = values if step == 0 else at_start
        better = values > reached
        best = torch.where(better[:, None, None, None], direction, best)
        reached = torch.where(better, values, reached)
        if step < steps:
            length = _FIRST_STEP * (1 - 0.9 * step / steps)
            direction = scaled(direction + length * scaled(found, norm=norm), norm=norm)
    return perturbed(z, best, eps=sizes, start=first, norm=norm, gain=reached / at_start)
