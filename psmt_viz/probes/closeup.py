"""One image under every kind of perturbation, to look at."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.kinds import PAPER_EPS
from psmt_viz.models.inference import encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import SearchSettings
from psmt_viz.perturb.norms import norms
from psmt_viz.probes.images import labeled_images
from psmt_viz.probes.kinds import chosen, judged, kinds_of, perturbation
from psmt_viz.results import CloseUp


def closeup(
    networks: Networks,
    data: SegmentationData,
    image_id: str,
    *,
    eps: float = PAPER_EPS,
    kinds: Sequence[str] = (),
    judge: str = "student",
    settings: SearchSettings | None = None,
    seed: int = 0,
    device: str = "cpu",
    subject: Mapping[str, Any] | None = None,
) -> CloseUp:
    """Perturbs one validation image in every way; the same perturbations as `perturb` with the same seed makes.

    Args:
        networks: Networks; put in eval mode.
        data: The data set.
        image_id: Which validation image.
        eps: Norm of the perturbations.
        kinds: Kinds of `kinds_of(networks)`; all of them if empty.
        judge: The role whose predictions are shown.
        settings: How perturbations are found. Default: as in the paper.
        seed: Decides the start of each search.
        device: Where the networks are.
        subject: What to say of the networks and the data (see `results.Result`).

    Raises:
        UserError: if there is no such image, or as `adversarial_perturbation`.
    """
    ids = data.ids("val")
    if image_id not in ids:
        some = ", ".join(ids[:3])
        raise UserError(f"a validation image of {data.name}, such as {some}", repr(image_id), "choose one of its ids")
    settings = settings or SearchSettings()
    asked = {"eps": eps, "kinds": list(kinds), "judge": judge, **vars(settings), "seed": seed}
    kinds = chosen("kinds", kinds, kinds_of(networks))
    (judge,) = chosen("judges", [judge], networks.roles)
    networks.eval()
    image = next(labeled_images(data, [image_id], batch=1, device=device))
    with torch.no_grad():
        z = encode_whole(networks.student, image.images)

    def predicted(values: torch.Tensor) -> Any:
        return judged(networks, [judge], values, image.size)[judge][0].argmax(dim=0).byte().cpu().numpy()

    moved, magnitude, relative = {}, {}, {}
    for kind in kinds:
        found = perturbation(
            networks, kind, z, image.size, image_id=image_id, eps=eps, seed=seed, settings=settings, labels=image.labels
        )
        moved[kind] = predicted(z + found.delta)
        magnitude[kind] = norms(found.delta, "pixel")[0, 0].float().cpu().numpy()
        relative[kind] = float(found.health.relative_norm)
    return CloseUp(
        image_id=image_id,
        classes=tuple(networks.classes),
        image=(image.images[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy(),
        truth=image.labels[0].byte().cpu().numpy(),
        prediction=predicted(z),
        moved=moved,
        magnitude=magnitude,
        subject=dict(subject or {}),
        asked=asked,
        measured={"relative_norm": statistics.median(relative.values()), "relative_norm_by_kind": relative},
    )
