"""What is counted of one judge's predictions, image by image."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.perturb.objectives import kl_of_log_softmax
from psmt_viz.probes.evaluate import confusion
from psmt_viz.probes.strata import CONFIDENCE_EDGES, DISTANCE_EDGES, confidence_bins

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Clean:
    """A judge's prediction of one image before any perturbation, and the stratum of every pixel."""

    log_p: Tensor
    """(1, K, H, W) log-probabilities."""
    labels: Tensor
    """(1, H, W) class ids, 255 where there is none."""
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
        return cls(
            log_p=log_p,
            labels=labels,
            prediction=prediction,
            correct=(prediction == labels) & (labels != IGNORE),
            strata={"class": labels, "distance": distance, "confidence": confidence_bins(best.exp())},
        )


def precise(logits: Tensor) -> Tensor:
    """Returns logits in float64, where the device has it: in float32 the KL of a tiny change is lost to rounding."""
    return logits if logits.device.type == "mps" else logits.double()


def bins(classes: int) -> dict[str, int]:
    """Returns the number of bins of each stratum."""
    return {"class": classes, "distance": len(DISTANCE_EDGES), "confidence": len(CONFIDENCE_EDGES)}


def stratified(clean: Clean, where: Tensor) -> dict[str, Counts]:
    """Counts the pixels of a (1, H, W) mask in each bin of each stratum."""
    sizes = bins(clean.log_p.shape[1])
    chosen = where.nonzero(as_tuple=True)
    return {
        name: torch.bincount(values[chosen], minlength=sizes[name]).cpu().numpy()
        for name, values in clean.strata.items()
    }


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
        clean: Clean,
        correct: dict[str, Counts],
        matrix: Counts,
        moved: Tensor,
        *,
        norm: float,
        relative_norm: float,
    ) -> None:
        """Takes in one image.

        Args:
            clean: The judge's prediction before.
            correct: `stratified` correct pixels of `clean`.
            matrix: (K, K) the judge's confusion matrix of the image before.
            moved: (1, K, H, W) the judge's logits after.
            norm: Norm of the perturbation.
            relative_norm: The same over that of z.

        Raises:
            UserError: if the judge's logits are not finite.
        """
        classes = moved.shape[1]
        after = moved.max(dim=1).indices  # on a CPU several times as fast as argmax
        self.norm.append(norm)
        self.relative_norm.append(relative_norm)
        kl = float(kl_of_log_softmax(clean.log_p, F.log_softmax(precise(moved), dim=1)))
        if not math.isfinite(kl):
            fix = "check the weights and the precision, or choose a smaller --eps"
            raise UserError("finite logits before and after a perturbation", "NaN or infinity", fix)
        self.kl.append(kl)
        self.pixels.append(clean.labels.numel())
        self.correct.append(correct)
        # Few pixels change, so only they are counted again.
        changed = (after != clean.prediction) & (clean.labels != IGNORE)
        truth = clean.labels[changed]
        self.matrix = (
            self.matrix
            + matrix
            + confusion(truth, after[changed], classes).cpu().numpy()
            - confusion(truth, clean.prediction[changed], classes).cpu().numpy()
        )
        flipped = changed & clean.correct
        self.flipped.append(stratified(clean, flipped))
        self.flips = self.flips + confusion(clean.labels[flipped], after[flipped], classes).cpu().numpy()
