"""How many correct predictions each kind of perturbation flips: for each network that is scored, and where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.kinds import KINDS, SWEEP
from psmt_viz.models.inference import encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import Perturbed, SearchSettings
from psmt_viz.probes.evaluate import confusion
from psmt_viz.probes.flip_tables import Cell, FlipTables, Size
from psmt_viz.probes.health import HealthRecord
from psmt_viz.probes.images import LabeledImages, labeled_images
from psmt_viz.probes.kinds import chosen, judged, kinds_of, perturbation
from psmt_viz.probes.strata import distance_bins
from psmt_viz.probes.tally import Clean, Tally, stratified
from psmt_viz.progress import progress
from psmt_viz.results import Flips


def perturb(
    networks: Networks,
    data: SegmentationData,
    *,
    eps: Sequence[float] = SWEEP,
    kinds: Sequence[str] = (),
    judges: Sequence[str] = (),
    settings: SearchSettings | None = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    subject: Mapping[str, Any] | None = None,
) -> Flips:
    """Measures each kind at each eps on the validation images, with every role as judge.

    A judge decodes the student's features, before and after, and answers for the pixels that it had right before. One
    pass over the images; what is kept of an image is a few counts for each kind, eps and judge. A direction that does
    not depend on eps is searched once.

    Args:
        networks: Networks; put in eval mode. Any model with `encode` and `decode` can be one (see `models.Networks`).
        data: The data set.
        eps: Norms of the perturbation over all features of an image.
        kinds: Kinds of `kinds_of(networks)`; all of them if empty.
        judges: Networks of the networks; all of them if empty.
        settings: How perturbations are found. Default: as in the paper.
        ids: Only these validation images.
        seed: Decides the start of each search and the bootstrap.
        device: Where the networks are.
        subject: What to say of the networks and the data (see `results.Result`).

    Raises:
        UserError: if an eps is not above 0, a kind or judge is unknown or needs teachers that are not there, networks
            are on several devices or give other numbers of classes than the data, a search fails, or no pixel is
            predicted correctly.
    """
    settings = settings or SearchSettings()
    asked = {"eps": list(eps), "kinds": list(kinds), "judges": list(judges), **vars(settings), "seed": seed}
    if networks.classes != tuple(data.classes):
        got, fix = ", ".join(networks.classes), "give the data that the networks were trained for"
        raise UserError(f"networks of the classes {', '.join(data.classes)}", got, fix)
    left_out = [] if kinds else [kind for kind in KINDS if kind not in kinds_of(networks)]
    kinds = chosen("kinds", kinds, kinds_of(networks))
    judges = chosen("judges", judges, networks.roles)
    eps = tuple(dict.fromkeys(eps))
    if not eps:
        raise UserError("at least 1 eps", "none", "give --eps")
    for value in eps:
        if not (math.isfinite(value) and value > 0):
            raise UserError("eps above 0 and finite", f"{value}", "choose another --eps")
    ids = data.ids("val") if ids is None else tuple(dict.fromkeys(ids))
    if not ids:
        raise UserError("at least 1 validation image", "none", "raise --images")
    devices = {str(value.device) for value in networks.parameters()}
    if len(devices) > 1:
        fix = "move the whole networks with .to(device)"
        raise UserError("all networks on one device", ", ".join(sorted(devices)), fix)
    networks.eval()
    sums = _Sums(networks, kinds, judges, eps=eps, settings=settings, seed=seed)
    with progress("perturb", len(ids)) as advance:
        for image in labeled_images(data, ids, batch=1, device=device):
            sums.add(image)
            advance("")
    tables = FlipTables(sums.tallies, sums.clean, data.classes, norm=settings.norm, seed=seed)
    return Flips(
        **tables.frames(),
        health=sums.health.summary(),
        subject=dict(subject or {}),
        asked=asked,
        used={
            "eps": list(eps),
            "kinds": list(kinds),
            "judges": list(judges),
            "left_out": left_out,
            "images": len(ids),
        },
    )


class _Sums:
    """Perturbs images one by one and tallies what every judge makes of them."""

    def __init__(
        self,
        networks: Networks,
        kinds: Sequence[str],
        judges: Sequence[str],
        *,
        eps: Sequence[float],
        settings: SearchSettings,
        seed: int,
    ) -> None:
        self._networks, self._judges, self._settings, self._seed = networks, judges, settings, seed
        self._sizes: dict[str, tuple[Size, ...]] = {
            kind: (*eps, *((None,) if KINDS[kind].own_size else ())) for kind in kinds
        }
        self.health = HealthRecord(networks, kinds, settings)
        self.clean = {judge: np.zeros((len(networks.classes),) * 2, np.int64) for judge in judges}
        """Judge -> confusion matrix before any perturbation."""
        self.tallies: dict[Cell, Tally] = {
            (kind, size, judge): Tally() for kind, sizes in self._sizes.items() for judge in judges for size in sizes
        }

    def add(self, image: LabeledImages) -> None:
        """Perturbs one image in every way and counts what flips."""
        networks, labels = self._networks, image.labels
        with torch.no_grad():
            z = encode_whole(networks.student, image.images)
        distance = distance_bins(labels)
        before = judged(networks, self._judges, z, image.size)
        clean = {judge: Clean.of(logits, labels, distance) for judge, logits in before.items()}
        correct = {judge: stratified(view, view.correct) for judge, view in clean.items()}
        classes = len(networks.classes)
        matrices = {judge: confusion(labels, view.prediction, classes).cpu().numpy() for judge, view in clean.items()}
        for judge, matrix in matrices.items():
            self.clean[judge] += matrix
        for kind, sizes in self._sizes.items():
            for size, delta, norm in self._deltas(kind, sizes, z, image):
                relative = float(torch.linalg.vector_norm(delta) / torch.linalg.vector_norm(z))
                for judge, moved in judged(networks, self._judges, z + delta, image.size).items():
                    self.tallies[kind, size, judge].add(
                        clean[judge], correct[judge], matrices[judge], moved, norm=norm, relative_norm=relative
                    )

    def _deltas(
        self, kind: str, sizes: Sequence[Size], z: Tensor, image: LabeledImages
    ) -> list[tuple[Size, Tensor, float]]:
        """Returns each size with the perturbation and its norm."""

        def found(eps: float) -> Perturbed:
            made = perturbation(
                self._networks,
                kind,
                z,
                image.size,
                image_id=image.ids[0],
                eps=eps,
                seed=self._seed,
                settings=self._settings,
                labels=image.labels,
            )
            self.health.add(kind, made, z, image.size, image.labels, eps=eps)
            return made

        if KINDS[kind].depends_on_eps:
            climbed = [(size, found(size)) for size in sizes if size is not None]
            return [(size, made.delta, float(made.health.norm)) for size, made in climbed]
        unit = found(1.0)
        deltas: list[tuple[Size, Tensor, float]] = []
        for size in sizes:
            if size is None:
                assert unit.own_norm is not None
                deltas.append((None, float(unit.own_norm) * unit.start, float(unit.own_norm)))
            else:
                deltas.append((size, size * unit.delta, size * float(unit.health.norm)))
        return deltas
