"""PS-MT: a student perturbed by its two teachers, which are updated alternately."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from psmt_viz.kinds import PAPER_EPS
from psmt_viz.methods.settings import Averaging, Method, PseudoLabels, RampUp, UnsupervisedWeight

Perturbation = Literal["tvat", "vat", "none"]
Noise = Literal["gaussian", "uniform", "literal"]


@dataclass(frozen=True, kw_only=True)
class PSMTConfig(RampUp, PseudoLabels, Averaging, Method):
    """Two teachers, their confident and mixed pseudo-labels, and adversarial noise on the student's features.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022).
    """

    title: ClassVar = "PS-MT"
    teachers: ClassVar = ("teacher1", "teacher2")
    learners: ClassVar = ("student", "teacher1", "teacher2")
    columns: ClassVar = (
        *("epoch", "step", "learning_rate", "unsup_weight", "loss_sup", "loss_unsup", "confident_fraction"),
        *("miou_student", "miou_teacher1", "miou_teacher2", "miou_ensemble", "pixel_accuracy_ensemble"),
        *("teacher_disagreement", "teacher_distance"),
    )

    method: Literal["psmt"] = "psmt"
    teacher_start: Literal["student", "random"] = "student"
    """Where the teachers' backbones start: from the `student`'s weights, or from `random` ones of their own, as torch
    draws them by default."""
    teacher_heads: Literal["auto", "torch", "kaiming"] = "auto"
    """How the rest of the teachers is drawn: as `torch` draws layers by default, or `kaiming` normal; `auto` is the
    latter where a batch is cut into groups, as the published code does on several GPUs and not on one."""
    pseudo_labels: Literal["eval", "train"] = "eval"
    """Mode of the teachers while they make pseudo-labels; `train` uses batch statistics, and running ones drift."""
    count_padding: bool = False
    """Count padded pixels in the unsupervised loss."""
    unsup_weight: float = 1.5
    """Final weight of the unsupervised loss."""
    assist_top: int = 7
    """Number of largest logits per pixel that are kept of the teacher that is not being updated (the assist mask); the
    number of classes or more disables the mask."""
    perturbation: Perturbation = "tvat"
    """Adversarial noise on the student's features, made by the teachers (`tvat`) or by itself (`vat`)."""
    eps: float = PAPER_EPS
    """Norm of that noise, over all features of an image."""
    noise: Noise = "gaussian"
    """Where its search starts: a `gaussian` or `uniform` direction of norm xi, or, `literal`, N(0, I)."""
    xi: float | None = None
    """Norm of the search's small step. Default: sqrt(machine epsilon) of the features' norm."""
    norm_floor: float = 0.0
    """Added to each norm that the search divides by, in the published code's units (see the manual on its noise)."""
    best_by: Literal["ensemble", "teacher1"] = "ensemble"
    """Whose mIoU on the validation images decides which weights are `best`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.xi is None or (math.isfinite(self.xi) and self.xi > 0), "xi", "above 0")
        self._not_negative("unsup_weight", "norm_floor")
        self._positive("eps", "assist_top")

    @property
    def unsupervised(self) -> UnsupervisedWeight:
        """The ramp-up of the confidence-weighted loss."""
        return UnsupervisedWeight(final=self.unsup_weight, epochs=self.ramp_epochs, ramp=self.ramp)

    @property
    def best_role(self) -> str:
        """Whose mIoU decides which weights are `best`."""
        return self.best_by

    @property
    def start_of_teachers(self) -> dict[str, Any]:
        """Where their backbones start, and how their heads are drawn."""
        heads = self.teacher_heads
        if heads == "auto":
            heads = "kaiming" if self.groups > 1 else "torch"
        return {"teacher_start": self.teacher_start, "teacher_heads": heads}
