"""How many correct predictions each kind of perturbation turns wrong, and how healthy its search is."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from psmt_viz.data.dataset import SegmentationData
from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE, mean_iou
from psmt_viz.models.inference import encode_whole
from psmt_viz.models.psmt import PSMT
from psmt_viz.perturb import Perturbed, direction_cosine, frozen, kl_of_logits
from psmt_viz.probes.bootstrap import ratio_interval
from psmt_viz.probes.evaluate import confusion
from psmt_viz.probes.images import LabeledImages, labeled_images
from psmt_viz.probes.kinds import kinds_of, perturb, predictor, search_predictor
from psmt_viz.progress import progress
from psmt_viz.results import Flips

_COSINE_IMAGES = 3
"""Images on which a direction is held against the float64 reference, which costs a search in float64 each."""


@dataclass
class _Tally:
    """Sums over images of one kind and eps."""

    relative_norm: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    correct: list[np.ndarray] = field(default_factory=list)
    """(K,) correct pixels by class, an entry an image; `flipped` likewise."""
    flipped: list[np.ndarray] = field(default_factory=list)
    matrix: Tensor | int = 0


def flips(
    bundle: PSMT,
    data: SegmentationData,
    *,
    eps: Sequence[float] = (0.5, 2.0, 8.0, 32.0),
    kinds: Sequence[str] = (),
    ids: Sequence[str] | None = None,
    seed: int = 0,
    device: str = "cpu",
    parameters: dict[str, Any] | None = None,
) -> Flips:
    """Measures each kind at each eps on the validation images, with the student as judge.

    The direction of a search does not depend on eps, so each image is searched once a kind.

    Args:
        bundle: Networks; put in eval mode.
        data: The data set.
        eps: Norms of the perturbation over all features of an image.
        kinds: Kinds of `kinds_of(bundle)`; all of them if empty.
        ids: Only these validation images.
        seed: Decides the start of each search and the bootstrap.
        device: Where the networks are.
        parameters: Facts to keep with the result.

    Raises:
        UserError: if an eps is not above 0, a kind is unknown or needs teachers that are not there, or no pixel is
            predicted correctly.
    """
    kinds = tuple(dict.fromkeys(kinds)) or kinds_of(bundle)
    for value in eps:
        if not (math.isfinite(value) and value > 0):
            raise UserError("eps above 0 and finite", f"{value}", "choose another --eps")
    ids = data.ids("val") if ids is None else tuple(ids)
    if not ids:
        raise UserError("at least 1 validation image", "none", "raise --images")
    for kind in kinds:
        if kind not in kinds_of(bundle):
            raise UserError(f"kinds among {', '.join(kinds_of(bundle))}", kind, "choose some of them")
    bundle.eval()
    sums = _Sums(bundle, kinds, eps, seed)
    with progress("perturb", len(ids)) as advance:
        for image in labeled_images(data, ids, batch=1, device=device):
            sums.add(image)
            advance("")
    facts = {"eps": list(eps), "kinds": list(kinds), "images": len(ids), "seed": seed, "judge": "student"}
    return Flips(
        flips=pd.DataFrame([_row(kind, value, tally, seed) for (kind, value), tally in sums.tallies.items()]),
        by_class=pd.DataFrame(
            [row for (kind, value), t in sums.tallies.items() for row in _class_rows(kind, value, t, data.classes)]
        ),
        health={kind: {name: _summary(v) for name, v in of_kind.items() if v} for kind, of_kind in sums.health.items()},
        parameters=facts | (parameters or {}),
    )


class _Sums:
    """What is summed over images, by kind and eps."""

    def __init__(self, bundle: PSMT, kinds: Sequence[str], eps: Sequence[float], seed: int) -> None:
        self._bundle, self._kinds, self._eps, self._seed = bundle, kinds, eps, seed
        self._reference = copy.deepcopy(bundle).cpu().double()  # not every device has float64
        self.tallies = {(kind, value): _Tally() for kind in kinds for value in eps}
        self.health: dict[str, dict[str, list[float]]] = {
            kind: {"norm_over_eps": [], "unchanged": [], "cosine": []} for kind in kinds
        }

    def add(self, image: LabeledImages) -> None:
        """Perturbs one image in every way and counts what flips."""
        student, classes = predictor(self._bundle, "student", image.size), len(self._bundle.classes)
        with torch.no_grad():
            z = encode_whole(self._bundle.student, image.images)
            clean = student(z)
            correct = (clean.argmax(dim=1) == image.labels) & (image.labels != IGNORE)
        for kind in self._kinds:
            unit = perturb(self._bundle, kind, z, image.size, image_id=image.ids[0], eps=1.0, seed=self._seed)
            self._note_health(kind, z, image.size, unit)
            for value in self._eps:
                tally = self.tallies[kind, value]
                with torch.no_grad():
                    moved = student(z + value * unit.delta)
                after = moved.argmax(dim=1)
                flipped = correct & (after != image.labels)
                tally.relative_norm.append(value * float(unit.health.relative_norm))
                tally.kl.append(float(kl_of_logits(clean, moved)))
                tally.pixels.append(image.labels.numel())
                tally.correct.append(_by_class(image.labels, correct, classes))
                tally.flipped.append(_by_class(image.labels, flipped, classes))
                tally.matrix = tally.matrix + confusion(image.labels, after, classes)

    def _note_health(self, kind: str, z: Tensor, size: Sequence[int], unit: Perturbed) -> None:
        health = self.health[kind]
        health["norm_over_eps"].append(float(unit.health.norm))
        predict = search_predictor(self._reference, kind, size)
        if predict is None:
            return
        health["unchanged"].append(float(unit.health.unchanged))
        if len(health["cosine"]) < _COSINE_IMAGES:
            with frozen(self._reference):
                cosine = direction_cosine(predict, z.cpu().double(), unit.start.cpu(), unit.delta.cpu())
                health["cosine"].append(float(cosine))


def _by_class(labels: Tensor, where: Tensor, classes: int) -> np.ndarray:
    return torch.bincount(labels[where], minlength=classes).cpu().numpy()


def _row(kind: str, eps: float, tally: _Tally, seed: int) -> dict[str, Any]:
    correct = np.stack(tally.correct).sum(axis=1).astype(float)
    flipped = np.stack(tally.flipped).sum(axis=1).astype(float)
    if not correct.sum():
        raise UserError("correctly predicted pixels", "none", "train the run for longer, or check the data")
    low, high = ratio_interval(flipped, correct, seed=seed)
    return {
        "kind": kind,
        "judge": "student",
        "norm": "image",
        "eps": eps,
        "relative_norm": float(np.mean(tally.relative_norm)),
        "flip_rate": flipped.sum() / correct.sum(),
        "flip_rate_low": low,
        "flip_rate_high": high,
        "kl": float(np.mean(tally.kl)),
        "kl_per_pixel": float(np.sum(tally.kl) / np.sum(tally.pixels)),
        "miou": mean_iou(torch.as_tensor(tally.matrix).cpu().numpy()),
        "images": len(correct),
        "correct_pixels": int(correct.sum()),
        "flipped_pixels": int(flipped.sum()),
    }


def _class_rows(kind: str, eps: float, tally: _Tally, classes: Sequence[str]) -> list[dict[str, Any]]:
    correct, flipped = np.sum(tally.correct, axis=0), np.sum(tally.flipped, axis=0)
    return [
        {
            "kind": kind,
            "judge": "student",
            "eps": eps,
            "class": name,
            "correct_pixels": int(correct[index]),
            "flipped_pixels": int(flipped[index]),
            "flip_rate": flipped[index] / correct[index] if correct[index] else float("nan"),
        }
        for index, name in enumerate(classes)
    ]


def _summary(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "mean": sum(values) / len(values), "max": max(values)}
