"""Every kind of perturbation of the table `psmt_viz.kinds`, made by one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    if kind == "pgd":
        start = _searched(predict, z, how, labels=labels, generator=generator)
        return _climbed(predict, z, start, how, eps=[eps] * len(z), labels=labels)
    published = {**OFFICIAL, "batch": how.official_batch} if kind == "tvat-official" else {}
    return _searched(predict, z, how, eps=eps, labels=labels, generator=generator, **published)


def ascents(
    predict: Predict,
    z: Tensor,
    *,
    eps: Sequence[float],
    settings: SearchSettings | None = None,
    labels: Tensor | None = None,
    generator: Sequence[torch.Generator],
    batch: int = 1,
) -> Iterator[Perturbed]:
    """Yields PGD of one image at several norms; all begin with one VAT direction, which is searched once.

    Args:
        predict: As in `make`, for `pgd`.
        z: (1, C, H, W) features; not changed.
        eps: Norms of the perturbations.
        settings: How they are found. Default: as in the paper.
        labels: (1, H, W) class ids for the objective cross-entropy.
        generator: Source of the random numbers, on z's device; one.
        batch: Ascents at a time.

    Raises:
        UserError: as `make`.
    """
    how = settings or SearchSettings()
    start = _searched(predict, z, how, labels=labels, generator=generator)
    for first in range(0, len(eps), batch):
        together = eps[first : first + batch]
        found = _climbed(predict, z, start, how, eps=together, labels=labels)
        for place in range(len(together)):
            yield found.of(place)


def _searched(
    predict: Predict,
    z: Tensor,
    how: SearchSettings,
    *,
    eps: float = 1.0,
    labels: Tensor | None,
    generator: Sequence[torch.Generator],
    **published: Any,
) -> Perturbed:
    """Returns the end of a power iteration."""
    return adversarial_perturbation(
        predict,
        z,
        eps=eps,
        iterations=how.iterations,
        generator=generator,
        norm=how.norm,
        objective=how.objective,
        labels=labels,
        **(published or {"search": how.search}),
    )


def _climbed(
    predict: Predict, z: Tensor, vat: Perturbed, how: SearchSettings, *, eps: Sequence[float], labels: Tensor | None
) -> Perturbed:
    """Returns ascents from VAT's direction, one for each eps."""
    sizes = torch.tensor(eps, dtype=z.dtype, device=z.device)[:, None, None, None]
    return projected_ascent(
        predict,
        z,
        start=sizes * vat.delta,
        eps=eps,
        steps=how.ascent_steps,
        norm=how.norm,
        objective=how.objective,
        labels=labels,
    )


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
