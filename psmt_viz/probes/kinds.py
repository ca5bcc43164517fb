"""The kinds of perturbation that a subject's networks can make, each by the same seeded start for the same image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from psmt_viz.errors import UserError
from psmt_viz.models.inference import decode_whole, padded_size, resized
from psmt_viz.models.networks import ENSEMBLE, Networks, mean_logits
from psmt_viz.perturb import KINDS, MAKERS, Perturbed, Predict, Settings, frozen, make
from psmt_viz.results import ROLES
from psmt_viz.seeds import derived_seed


def kinds_of(networks: Networks) -> tuple[str, ...]:
    """Returns the kinds that networks can make; without teachers there is no T-VAT."""
    return tuple(kind for kind in KINDS if MAKERS[kind] is None or MAKERS[kind] in networks.roles)


def chosen(what: str, names: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """Returns the names asked for, each once, or all that are there if none is.

    Raises:
        UserError: if one of them is not there.
    """
    for name in names:
        if name not in there:
            fix = "choose some of them" + ("; it needs teachers" if name in (*KINDS, *ROLES) else "")
            raise UserError(f"{what} among {', '.join(there)}", name, fix)
    return tuple(dict.fromkeys(names)) or tuple(there)


def predictor(networks: Networks, role: str, size: Sequence[int]) -> Predict:
    """Returns a function from z (B, C, h, w) to a role's logits (B, K, *size)."""
    return partial(decode_whole, partial(networks.decode, role), size=size, multiple=networks.multiple)


def maker(networks: Networks, kind: str, size: Sequence[int]) -> Predict | None:
    """Returns the prediction that makes a kind, or None where nobody's does."""
    role = MAKERS[kind]
    return None if role is None else predictor(networks, role, size)


def perturbation(
    networks: Networks,
    kind: str,
    z: Tensor,
    size: Sequence[int],
    *,
    image_id: str | Sequence[str],
    eps: float = 2.0,
    seed: int = 0,
    settings: Settings | None = None,
    labels: Tensor | None = None,
) -> Perturbed:
    """Makes one kind of perturbation for the student's z of one image, or of several of one size.

    Args:
        networks: Networks.
        kind: One of `KINDS`.
        z: (B, C, h, w), the student's, of whole images.
        size: Height and width of an image; KL is summed over its pixels.
        image_id: Together with the seed it decides an image's start, alike for all kinds; one for each image.
        eps: Norm of the perturbation.
        seed: Seed of the probe.
        settings: How it is found; left out, as the paper does.
        labels: (B, H, W) class ids for the objective cross-entropy.

    Raises:
        UserError: if the networks has no teachers for T-VAT, or the search fails (see `adversarial_perturbation`).
    """
    ids = [image_id] if isinstance(image_id, str) else image_id
    generators = [torch.Generator(z.device).manual_seed(derived_seed(seed, "noise", id)) for id in ids]
    with frozen(networks):
        predict = maker(networks, kind, size)
        return make(kind, predict, z, eps=eps, settings=settings, labels=labels, generator=generators)


@torch.no_grad()
def judged(networks: Networks, roles: Sequence[str], z: Tensor, size: Sequence[int]) -> dict[str, Tensor]:
    """Returns role -> logits (B, K, *size), without a graph; each network decodes once, for the ensemble too."""
    padded = padded_size(size, networks.multiple)
    teachers = tuple(networks.teachers) if ENSEMBLE in roles else ()
    needed = {*roles, *teachers} - {ENSEMBLE}
    decoded = {role: networks.decode(role, z, padded) for role in sorted(needed)}
    if ENSEMBLE in roles:
        decoded[ENSEMBLE] = mean_logits([decoded[name] for name in teachers])
    return {role: resized(decoded[role], size) for role in roles}
