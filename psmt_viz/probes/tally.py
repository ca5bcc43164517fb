"""What is counted of one judge's predictions, image by image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.probes.strata import CONFIDENCE_EDGES, DISTANCE_EDGES, confidence_bins

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Clean:
    """A judge's prediction of one image before any perturbation, and the stratum of every pixel."""

    p: Tensor
    """(1, K, H, W) probabilities."""
    log_p: Tensor
    """(1, K, H, W) log-probabilities."""
    labels: Tensor
    """(1, H, W) class ids, 255 where there is none."""
    known: Tensor
    """(1, H, W) whether there is one."""
    prediction: Tensor
    """(1, H, W) class ids."""
    correct: Tensor
    """(1, H, W) truth values."""
    strata: dict[str, Tensor]
    """`class`, `distance` and `confidence` -> (1, H, W) bin of each pixel."""

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, distance: Tensor) -> Clean:
        """Takes a judge's logits (1, K, H, W), the labels and the bins of distance, both (1, H, W)."""
        log_p = F.log_softmax(precise(logits), dim=1)
        # Of the logits, as after a perturbation: log-softmax can round two of them to one value.
        prediction = logits.max(dim=1).indices
        best = log_p.amax(dim=1)
        known = labels != IGNORE
        return cls(
            p=log_p.exp(),
            log_p=log_p,
            labels=labels,
            known=known,
            prediction=prediction,
            correct=(prediction == labels) & known,
            strata={"class": labels, "distance": distance, "confidence": confidence_bins(best.exp())},
        )


def precise(logits: Tensor) -> Tensor:
    """Returns logits in float64, where the device has it: in float32 the KL of a tiny change is lost to rounding."""
    return logits if logits.device.type == "mps" else logits.double()


def bins(classes: int) -> dict[str, int]:
    """Returns the number of bins of each stratum."""
    return {"class": classes, "distance": len(DISTANCE_EDGES), "confidence": len(CONFIDENCE_EDGES)}


def stratified(clean: Clean, where: Tensor) -> dict[str, Counts]:
    """Counts the pixels of each mask of (B, H, W) in each bin of each stratum, (B, bins)."""
    return _stratified(clean, where.nonzero(as_tuple=True), len(where))


def _stratified(clean: Clean, chosen: Sequence[Tensor], count: int) -> dict[str, Counts]:
    """Counts pixels, given by their mask, row and column, for each of so many masks."""
    mask, *place = chosen
    return {
        name: _counts(mask * size + clean.strata[name][0][*place], (count, size))
        for name, size in bins(clean.log_p.shape[1]).items()
    }


def _counts(cells: Tensor, shape: tuple[int, ...]) -> Counts:
    """Counts how often each cell of a table of this shape is named, by its place in the flat table."""
    counted: Counts = torch.bincount(cells, minlength=math.prod(shape)).cpu().numpy()
    return counted.reshape(shape)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What perturbations of one image change in one judge's prediction; an entry each."""

    kl: list[float]
    flipped: dict[str, Counts]
    """Stratum -> (B, bins) flipped pixels."""
    flips: Counts
    """(B, K, K) flipped pixels, rows = truth, columns = prediction after."""
    matrix: Counts
    """(B, K, K) change of the confusion matrix of all labelled pixels."""

    @classmethod
    def of(cls, clean: Clean, moved: Tensor) -> Changes:
        """Compares the judge's logits after each perturbation, (B, K, H, W), with its prediction before.

        Raises:
            UserError: if they are not finite.
        """
        count, classes = moved.shape[:2]
        after = moved.max(dim=1).indices  # on a CPU several times as fast as argmax
        log_q = F.log_softmax(precise(moved), dim=1)
        kl = (clean.log_p - log_q).mul_(clean.p).flatten(1).sum(dim=1).tolist()
        if not all(map(math.isfinite, kl)):
            fix = "check the weights and the precision, or choose a smaller --eps"
            raise UserError("finite logits before and after a perturbation", "NaN or infinity", fix)
        # Few pixels change, so only they are counted again.
        changed = ((after != clean.prediction) & clean.known).nonzero(as_tuple=True)
        new, (number, *place) = after[changed], changed
        truth, old, correct = (each[0][*place] for each in (clean.labels, clean.prediction, clean.correct))
        row = (number * classes + truth) * classes
        shape = (count, classes, classes)
        return cls(
            kl=kl,
            flipped=_stratified(clean, [each[correct] for each in changed], count),
            flips=_counts((row + new)[correct], shape),
            matrix=_counts(row + new, shape) - _counts(row + old, shape),
        )


@dataclass
class Tally:
    """What one kind of perturbation of one size does to one judge; an entry an image, but for the two matrices."""

    relative_norm: list[float] = field(default_factory=list)
    norm: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    correct: list[dict[str, Counts]] = field(default_factory=list)
    """Correct pixels by bin of each stratum; shared by all tallies of an image and judge. `flipped` likewise."""
    flipped: list[dict[str, Counts]] = field(default_factory=list)
    flips: Counts | int = 0
    """(K, K) flipped pixels, rows = truth, columns = prediction after."""
    matrix: Counts | int = 0
    """(K, K) all labelled pixels, rows = truth, columns = prediction after."""

    def add(
        self,
        changes: Changes,
        place: int,
        *,
        correct: dict[str, Counts],
        matrix: Counts,
        pixels: int,
        norm: float,
        relative_norm: float,
    ) -> None:
        """Takes in one image.

        Args:
            changes: Of several perturbations of the image.
            place: That of this one among them.
            correct: Correct pixels before by stratum, (bins,).
            matrix: (K, K) the judge's confusion matrix of the image before.
            pixels: Of the image.
            norm: Norm of the perturbation.
            relative_norm: The same over that of z.
        """
        self.norm.append(norm)
        self.relative_norm.append(relative_norm)
        self.kl.append(changes.kl[place])
        self.pixels.append(pixels)
        self.correct.append(correct)
        self.flipped.append({name: counts[place] for name, counts in changes.flipped.items()})
        self.flips = self.flips + changes.flips[place]
        self.matrix = self.matrix + matrix + changes.matrix[place]
