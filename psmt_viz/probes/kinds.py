"""Perturbations that a subject's networks make: every kind starts from the same seeded direction for the same image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from psmt_viz.errors import UserError
from psmt_viz.kinds import CLEAN, KINDS, PAPER_EPS, default_panels, kind_named, possible_kinds
from psmt_viz.models.inference import decode_whole, padded_size
from psmt_viz.models.networks import Networks, mean_logits
from psmt_viz.models.resize import resize_aligned
from psmt_viz.perturb import Perturbed, Predict, SearchSettings, frozen, make
from psmt_viz.roles import ENSEMBLE
from psmt_viz.seeds import derived_seed


def kinds_of(networks: Networks) -> tuple[str, ...]:
    """Returns the kinds that networks can make; without teachers there is no T-VAT."""
    return possible_kinds(networks.roles)


def panels_of(networks: Networks, kinds: Sequence[str]) -> tuple[str, ...]:
    """Returns the panels of a figure of single pixels or images: `clean`, then kinds of perturbation.

    Args:
        networks: Networks.
        kinds: The kinds, in the order of the figure; `clean` may be among them. If there are none, VAT and T-VAT, or
            VAT and a random direction where there are no teachers.

    Raises:
        UserError: if a kind is unknown or needs teachers that are not there, or only `clean` is asked for.
    """
    wanted = [kind for kind in kinds if kind != CLEAN]
    if kinds and not wanted:
        raise UserError("--panels with a kind of perturbation", CLEAN, "add one, such as vat")
    if not wanted:
        return default_panels(networks.roles)
    return (CLEAN, *chosen("kinds", wanted, kinds_of(networks)))


def chosen(what: str, names: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """Returns the names asked for, each once, or all that are there if none is.

    Raises:
        UserError: if one of them is not there.
    """
    for name in names:
        if name not in there:
            needs = name in KINDS or name == ENSEMBLE or name.startswith("teacher")
            fix = "choose some of them; it needs teachers" if needs else "choose some of them"
            raise UserError(f"{what} among {', '.join(there)}", name, fix)
    return tuple(dict.fromkeys(names)) or tuple(there)


def predictor(networks: Networks, role: str, size: Sequence[int]) -> Predict:
    """Returns a function from z (B, C, h, w) to a role's logits (B, K, *size)."""
    return partial(decode_whole, partial(networks.decode, role), size=size, multiple=networks.multiple)


def maker(networks: Networks, kind: str, size: Sequence[int]) -> Predict | None:
    """Returns the prediction that makes a kind, or None where no network is asked.

    Raises:
        UserError: if the network that makes it is not there.
    """
    known = kind_named(kind)
    if known.maker is None:
        return None
    role = known.made_by(networks.roles)
    if role is None:
        fix = "give Networks its teachers, or choose another kind"
        raise UserError(f"networks that can make {kind}", f"some with {', '.join(networks.roles)}", fix)
    return predictor(networks, role, size)


def perturbation(
    networks: Networks,
    kind: str,
    z: Tensor,
    size: Sequence[int],
    *,
    image_id: str | Sequence[str],
    eps: float = PAPER_EPS,
    seed: int = 0,
    settings: SearchSettings | None = None,
    labels: Tensor | None = None,
) -> Perturbed:
    """Makes one kind of perturbation for the student's z of one image, or of several of one size.

    Args:
        networks: Networks.
        kind: A name of `psmt_viz.kinds.KINDS`.
        z: (B, C, h, w), the student's, of whole images.
        size: Height and width of an image; KL is summed over its pixels.
        image_id: Together with the seed it decides an image's start, alike for all kinds; one for each image.
        eps: Norm of the perturbation.
        seed: Seed of the probe.
        settings: How it is found. Default: as in the paper.
        labels: (B, H, W) class ids for the objective cross-entropy.

    Raises:
        UserError: if the networks have no teachers for T-VAT, or the search fails (see `adversarial_perturbation`).
    """
    generator = starts(z, [image_id] if isinstance(image_id, str) else image_id, seed=seed)
    with frozen(networks):
        predict = maker(networks, kind, size)
        return make(kind, predict, z, eps=eps, settings=settings, labels=labels, generator=generator)


def starts(z: Tensor, ids: Sequence[str], *, seed: int) -> list[torch.Generator]:
    """Returns the source of each image's random numbers, alike for all kinds, on z's device."""
    return [torch.Generator(z.device).manual_seed(derived_seed(seed, "noise", id)) for id in ids]


@torch.no_grad()
def judged(networks: Networks, roles: Sequence[str], z: Tensor, size: Sequence[int]) -> dict[str, Tensor]:
    """Returns role -> logits (B, K, *size), without a graph; each network decodes once, for the ensemble too."""
    padded = padded_size(size, networks.multiple)
    teachers = tuple(networks.teachers) if ENSEMBLE in roles else ()
    needed = {*roles, *teachers} - {ENSEMBLE}
    decoded = {role: networks.decode(role, z, padded) for role in sorted(needed)}
    if ENSEMBLE in roles:
        decoded[ENSEMBLE] = mean_logits([decoded[name] for name in teachers])
    return {role: resize_aligned(decoded[role], size) for role in roles}
