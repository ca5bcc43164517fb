"""Every kind of perturbation of the table `psmt_viz.kinds`, made by one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from psmt_viz.kinds import PAPER_EPS, kind_named
from psmt_viz.perturb.adversarial import Perturbed, adversarial_perturbation
from psmt_viz.perturb.ascent import projected_ascent
from psmt_viz.perturb.baselines import feature_perturbation, random_perturbation
from psmt_viz.perturb.norms import cosine_per_image
from psmt_viz.perturb.objectives import Predict
from psmt_viz.search import SearchSettings

OFFICIAL: Mapping[str, Any] = MappingProxyType({"xi": 1e-6, "floor": 1e-8, "noise": "uniform"})
"""The search as the authors' code calls it: the denominator's floor takes away nearly all of eps, and in float32
the step is below the spacing of z (see `Health.unchanged`)."""


def make(
    kind: str,
    predict: Predict | None,
    z: Tensor,
    *,
    eps: float = PAPER_EPS,
    settings: SearchSettings | None = None,
    labels: Tensor | None = None,
    generator: Sequence[torch.Generator],
) -> Perturbed:
    """Makes one kind of perturbation of norm eps; the floor of `tvat-official` leaves next to nothing of eps.

    Args:
        kind: A name of `psmt_viz.kinds.KINDS`.
        predict: The prediction of the kind's maker (see `Kind.made_by`), where it has one; belongs in `frozen(...)`.
        z: (B, C, H, W) features; not changed.
        eps: Norm of the perturbation.
        settings: How it is found. Default: as in the paper.
        labels: (B, H, W) class ids for the objective cross-entropy.
        generator: Source of the random numbers, on z's device, one for each image. Kinds that get equal generators
            start alike.

    Raises:
        UserError: if the kind is unknown, or as `adversarial_perturbation`.
    """
    how = settings or SearchSettings()
    if kind_named(kind).own_size:
        return feature_perturbation(kind, z, predict=predict, eps=eps, norm=how.norm, generator=generator)
    if kind == "random":
        return random_perturbation(z, eps=eps, norm=how.norm, generator=generator)
    assert predict is not None
    goal: dict[str, Any] = {"norm": how.norm, "objective": how.objective, "labels": labels}
    published = kind == "tvat-official"
    found = adversarial_perturbation(
        predict,
        z,
        eps=eps,
        iterations=how.iterations,
        generator=generator,
        **goal,
        **({**OFFICIAL, "batch": how.official_batch} if published else {"search": how.search}),
    )
    if kind != "pgd":
        return found
    return projected_ascent(predict, z, start=found.delta, eps=eps, steps=how.ascent_steps, **goal)


def exact_cosine(
    predict: Predict,
    z: Tensor,
    found: Perturbed,
    *,
    settings: SearchSettings | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """Returns the cosine between a perturbation and the one that the exact search finds from the same start, (B,).

    Args:
        predict: The maker's prediction, in the precision of the reference (float64).
        z: (B, C, H, W) features, in that precision.
        found: What was found, in any precision.
        settings: How it was found.
        labels: (B, H, W) class ids for the objective cross-entropy.
    """
    how = settings or SearchSettings()
    exact = adversarial_perturbation(
        predict,
        z,
        search="exact",
        iterations=how.iterations,
        norm=how.norm,
        objective=how.objective,
        labels=labels,
        start=found.start.to(z),
    )
    return cosine_per_image(exact.delta, found.delta.to(z))
