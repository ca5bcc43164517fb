"""How many correct predictions each kind of perturbation flips: for each network that is scored, and where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.kinds import KINDS, SWEEP
from psmt_viz.models.inference import encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import SearchSettings, ascents, frozen, make
from psmt_viz.probes.evaluate import confusion
from psmt_viz.probes.flip_tables import Cell, FlipTables, Size
from psmt_viz.probes.health import HealthRecord
from psmt_viz.probes.images import LabeledImages, labeled_images
from psmt_viz.probes.kinds import chosen, judged, kinds_of, maker, starts
from psmt_viz.probes.strata import distance_bins
from psmt_viz.probes.tally import Changes, Clean, Tally, stratified
from psmt_viz.probes.together import Together
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
    batch: int = 4,
    seed: int = 0,
    device: str = "cpu",
    subject: Mapping[str, Any] | None = None,
) -> Flips:
    """Measures each kind at each eps on the validation images, with every role as judge.

    A judge decodes the student's features, before and after, and answers for the pixels that it had right before. One
    pass over the images; what is kept of an image is a few counts for each kind, eps and judge. A direction that does
    not depend on eps is searched once, and so is the start of those that do.

    Args:
        networks: Networks; put in eval mode. Any model with `encode` and `decode` can be one (see `models.Networks`).
        data: The data set.
        eps: Norms of the perturbation over all features of an image.
        kinds: Kinds of `kinds_of(networks)`; all of them if empty.
        judges: Networks of the networks; all of them if empty.
        settings: How perturbations are found. Default: as in the paper.
        ids: Only these validation images.
        batch: Perturbations of an image that a network sees at a time, at most; fewer of a large image, and one by one
            where the network, on this device, rounds differently for several, so that no number depends on it.
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
    sums = _Sums(networks, kinds, judges, eps=eps, settings=settings, seed=seed, batch=batch)
    with frozen(networks), progress("perturb", len(ids)) as advance:
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


class _Change(NamedTuple):
    """A perturbation of one image."""

    kind: str
    size: Size
    delta: Tensor
    norm: float


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
        batch: int,
    ) -> None:
        self._networks, self._judges, self._settings, self._seed = networks, judges, settings, seed
        self._together = Together(networks, judges, batch)
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
        networks, labels, classes = self._networks, image.labels, len(self._networks.classes)
        with torch.no_grad():
            z = encode_whole(networks.student, image.images)
        distance = distance_bins(labels)
        clean = {
            judge: Clean.of(logits, labels, distance)
            for judge, logits in judged(networks, self._judges, z, image.size).items()
        }
        before: dict[str, dict[str, Any]] = {
            judge: {
                "correct": {name: counts[0] for name, counts in stratified(view, view.correct).items()},
                "matrix": confusion(labels, view.prediction, classes).cpu().numpy(),
                "pixels": labels.numel(),
            }
            for judge, view in clean.items()
        }
        for judge in self._judges:
            self.clean[judge] += before[judge]["matrix"]
        size_of_z = torch.linalg.vector_norm(z)
        for some in self._batches(z, image):
            relative = [float(torch.linalg.vector_norm(each.delta) / size_of_z) for each in some]
            moved = judged(networks, self._judges, z + torch.cat([each.delta for each in some]), image.size)
            for judge in self._judges:
                found = Changes.of(clean[judge], moved.pop(judge))
                for place, (kind, size, _, norm) in enumerate(some):
                    self.tallies[kind, size, judge].add(
                        found, place, norm=norm, relative_norm=relative[place], **before[judge]
                    )

    def _batches(self, z: Tensor, image: LabeledImages) -> Iterator[list[_Change]]:
        """Yields the perturbations of an image, as many at a time as change no number."""
        changes = self._changes(z, image)
        while some := list(islice(changes, self._together.most(image.size))):
            if self._together.judged(z, image.size, len(some)):
                yield some
            else:
                yield from ([each] for each in some)

    def _changes(self, z: Tensor, image: LabeledImages) -> Iterator[_Change]:
        """Yields the perturbations of every kind at each of its sizes."""
        for kind, sizes in self._sizes.items():
            predict = maker(self._networks, kind, image.size)
            given = self._given(z, image)
            if KINDS[kind].depends_on_eps:
                assert predict is not None
                norms = [size for size in sizes if size is not None]
                batch = min(len(norms), self._together.most(image.size))
                batch = batch if self._together.climbed(predict, z, image.size, batch) else 1
                for eps, found in zip(norms, ascents(predict, z, eps=norms, batch=batch, **given), strict=True):
                    self.health.add(kind, found, z, image.size, image.labels, eps=eps)
                    yield _Change(kind, eps, found.delta, float(found.health.norm))
                continue
            unit = make(kind, predict, z, eps=1.0, **given)
            self.health.add(kind, unit, z, image.size, image.labels, eps=1.0)
            for size in sizes:
                if size is None:
                    assert unit.own_norm is not None
                    yield _Change(kind, None, float(unit.own_norm) * unit.start, float(unit.own_norm))
                else:
                    yield _Change(kind, size, size * unit.delta, size * float(unit.health.norm))

    def _given(self, z: Tensor, image: LabeledImages) -> dict[str, Any]:
        """Returns what every kind is given; their generators are alike, so that they start alike."""
        generator = starts(z, image.ids, seed=self._seed)
        return {"settings": self._settings, "labels": image.labels, "generator": generator}
