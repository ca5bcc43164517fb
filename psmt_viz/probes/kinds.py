"""The kinds of perturbation that probes compare, each by the same seeded start for the same image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from psmt_viz.models.inference import decode_whole
from psmt_viz.models.psmt import PSMT
from psmt_viz.perturb import Perturbed, adversarial_perturbation, frozen, random_perturbation
from psmt_viz.seeds import derived_seed

OFFICIAL: dict[str, Any] = {"xi": 1e-6, "floor": 1e-8, "noise": "uniform"}
"""The search as the authors' code calls it; in float32 its step is below the spacing of z (see `Health.unchanged`)."""

_SEARCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "vat": ("student", {}),
    "tvat": ("ensemble", {}),
    "tvat-official": ("ensemble", OFFICIAL),
}
KINDS = (*_SEARCHES, "random")
"""Names of the kinds: who predicts in the search and how, and a random direction of equal norm."""


def kinds_of(bundle: PSMT) -> tuple[str, ...]:
    """Returns the kinds that a bundle can make; without teachers there is no T-VAT."""
    return tuple(kind for kind in KINDS if kind not in _SEARCHES or _SEARCHES[kind][0] in bundle.roles)


def predictor(bundle: PSMT, role: str, size: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """Returns a function from z (B, C, h, w) to a role's logits (B, K, *size)."""
    return partial(decode_whole, partial(bundle.decode, role), size=size)


def perturb(
    bundle: PSMT, kind: str, z: Tensor, size: Sequence[int], *, image_id: str, eps: float = 2.0, seed: int = 0
) -> Perturbed:
    """Makes one kind of perturbation for the student's z of one image.

    Args:
        bundle: Networks.
        kind: One of `KINDS`.
        z: (1, C, h, w), the student's, of a whole image.
        size: Height and width of the image; KL is summed over its pixels.
        image_id: Together with the seed it decides the start, alike for all kinds.
        eps: Norm of the perturbation.
        seed: Seed of the probe.

    Raises:
        UserError: if the bundle has no teachers for T-VAT, or the search fails (see `adversarial_perturbation`).
    """
    generator = torch.Generator(z.device).manual_seed(derived_seed(seed, "noise", image_id))
    if kind == "random":
        return random_perturbation(z, eps=eps, generator=generator)
    role, settings = _SEARCHES[kind]
    with frozen(bundle):
        return adversarial_perturbation(predictor(bundle, role, size), z, eps=eps, generator=generator, **settings)


def search_predictor(bundle: PSMT, kind: str, size: Sequence[int]) -> Callable[[Tensor], Tensor] | None:
    """Returns who predicts in a kind's search, or None for a kind that searches nothing."""
    return predictor(bundle, _SEARCHES[kind][0], size) if kind in _SEARCHES else None
