"""Mean Teacher: a student that shall say of the strong view what its own running average says of the weak one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from psmt_viz.methods.settings import Averaging, Method, RampUp, UnsupervisedWeight


@dataclass(frozen=True, kw_only=True)
class MeanTeacherConfig(RampUp, Averaging, Method):
    """One teacher, the running average of the student, whose probabilities the student shall have on strong views.

    Mean teachers are better role models: Weight-averaged consistency targets improve semi-supervised deep learning
    results (Tarvainen and Valpola, 2017).
    """

    title: ClassVar = "Mean Teacher"
    teachers: ClassVar = ("teacher",)
    columns: ClassVar = (
        *("epoch", "step", "learning_rate", "unsup_weight", "loss_sup", "loss_unsup"),
        *("miou_student", "miou_teacher", "pixel_accuracy_teacher"),
    )

    method: Literal["mean_teacher"] = "mean_teacher"
    consistency_weight: float = 10.0
    """Final weight of the squared distance between the probabilities of student and teacher, a sum over the classes and
    a mean over the pixels. 10 is the paper's 100 for its mean over ten classes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._not_negative("consistency_weight")

    @property
    def unsupervised(self) -> UnsupervisedWeight:
        """The ramp-up of the consistency."""
        return UnsupervisedWeight(final=self.consistency_weight, epochs=self.ramp_epochs, ramp=self.ramp)

    @property
    def best_role(self) -> str:
        """The teacher's mIoU decides which weights are `best`."""
        return "teacher"
