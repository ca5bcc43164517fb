"""What methods of training share: lengths, batches and the loss of labelled images, and settings that several have.

A method's file has one dataclass, which takes its groups from here and adds what the method alone has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from psmt_viz.roles import STUDENT
from psmt_viz.schedules import Ramp
from psmt_viz.settings import Group

CutMix = Literal["one", "three", "none"]

LABELED, UNLABELED = "labeled", "unlabeled"
"""Names of the loaders of a step's batches."""

View = Literal["weak", "strong"]
VIEWS: tuple[View, ...] = get_args(View)
"""Ways in which an image is seen."""


@dataclass(frozen=True, kw_only=True)
class UnsupervisedWeight:
    """The weight of the unsupervised loss: 0 in the warm-up, then rising to its final value."""

    final: float
    epochs: float = 0
    """Length of the ramp-up, in epochs after the warm-up; 0 means none."""
    ramp: Ramp = "gaussian"
    """Its shape."""


@dataclass(frozen=True, kw_only=True)
class Method(Group):
    """Lengths, batches and the supervised loss: what every method has, and the control has alone."""

    title: ClassVar[str]
    """What figures and tables call the method."""
    teachers: ClassVar[tuple[str, ...]] = ()
    """Roles of the networks beside the student, in the order of every table."""
    learners: ClassVar[tuple[str, ...]] = (STUDENT,)
    """Roles that learn by gradients; in the warm-up, each of them from labelled images in an order of its own."""
    columns: ClassVar[tuple[str, ...]]
    """Of metrics.csv, in their order: `epoch`, `step`, what the steps measure, `miou_<role>`, ..."""

    method: str
    """How the networks learn."""
    warmup_epochs: int = 5
    """Epochs over the labelled images in which each network that learns by gradients is trained on them alone."""
    warmup_steps: int | None = None
    """Steps of that warm-up, in place of `warmup_epochs`."""
    epochs: int = 80
    """Epochs after the warm-up; an epoch is one pass over the unlabelled images."""
    steps_per_epoch: int | None = None
    """Steps of an epoch. Default: one pass over the unlabelled images."""
    batch_labeled: int = 8
    """Labelled images in a step, over all devices."""
    batch_unlabeled: int = 8
    """Unlabelled images in a step, over all devices."""
    images_per_gpu: int | None = None
    """Labelled images per GPU in the published training, on any number of devices here: such a group of images shares
    the size of CutMix's boxes and is mixed only within itself. Default: a step's batch is one group."""
    drop_last: bool | None = None
    """Drop the last, incomplete batch of a pass over the images. Default: it is dropped where a batch is cut into
    micro-batches or groups and kept where it is not, as the published code does on several GPUs and on one."""
    loss_mean: Literal["batch", "gpu"] = "gpu"
    """Mean of the losses: the mean of each group's own (`gpu`, see --images-per-gpu), or over the pixels of the whole
    `batch`."""
    labeled_stream: Literal["fresh", "replay"] = "fresh"
    """`fresh` draws new views of a labelled image each time; `replay` repeats the same views within an epoch."""
    sup_loss: Literal["ce", "ohem"] = "ce"
    """Supervised loss: cross-entropy, or `ohem`, its mean over the hardest pixels."""
    ohem_threshold: float = 0.7
    """Pixels whose true class has a probability below this are hard."""
    ohem_kept: int = 50_000
    """Least number of pixels that `ohem` keeps, per image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 < self.ohem_threshold <= 1, "ohem_threshold", "above 0, to 1")
        self._not_negative("warmup_epochs")
        self._positive("epochs", "batch_labeled", "batch_unlabeled", "ohem_kept")
        self._require(self.steps_per_epoch is None or self.steps_per_epoch > 0, "steps_per_epoch", "above 0")
        self._require(self.warmup_steps is None or self.warmup_steps >= 0, "warmup_steps", "0 or more")
        self._require(self.images_per_gpu is None or self.images_per_gpu > 0, "images_per_gpu", "above 0")

    @property
    def unsupervised(self) -> UnsupervisedWeight | None:
        """The weight of the unsupervised loss; None where a method learns from labelled images alone."""
        return None

    @property
    def best_role(self) -> str:
        """Whose mIoU on the validation images decides which weights are `best`."""
        return STUDENT

    @property
    def start_of_teachers(self) -> dict[str, Any]:
        """How the teachers' weights are drawn (see `psmt_viz.models`); empty for the default."""
        return {}

    @property
    def needs_unlabeled(self) -> bool:
        """Whether it learns from unlabelled images."""
        return self.unsupervised is not None

    @property
    def images_per_step(self) -> int:
        """Images of a step after the warm-up, over all devices."""
        return self.batch_labeled + (self.batch_unlabeled if self.needs_unlabeled else 0)

    @property
    def groups(self) -> int:
        """GPUs of the published training that a step's batch stands for."""
        return 1 if self.images_per_gpu is None else max(1, self.batch_labeled // self.images_per_gpu)

    def loaders(self, *, warmup: bool) -> Mapping[str, tuple[View, ...]]:
        """Returns the loaders of which a step takes a batch each, and the views that it looks at of each.

        In the warm-up the student's is `labeled`, and that of any other network that learns has its role's name.
        """
        needs: dict[str, tuple[View, ...]] = {LABELED: ("strong",)}
        if warmup:
            needs |= {role: ("weak",) for role in self.learners if role != STUDENT}
        elif self.needs_unlabeled:
            needs[UNLABELED] = VIEWS
        return needs


@dataclass(frozen=True, kw_only=True)
class RampUp(Group):
    """How the weight of the unsupervised loss grows."""

    ramp: Ramp = "gaussian"
    """Shape of the unsupervised weight's ramp-up."""
    ramp_epochs: float = 12
    """Length of the ramp-up, in epochs after the warm-up."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._not_negative("ramp_epochs")


@dataclass(frozen=True, kw_only=True)
class PseudoLabels(Group):
    """Which pixels of unlabelled images count in the loss, and how the images are mixed."""

    confidence: float = 0.6
    """Pixels whose pseudo-label has a lower probability than this are ignored in the unsupervised loss."""
    cutmix: CutMix = "one"
    """Boxes of other unlabelled images, with their pseudo-labels, pasted into each, at places of its own: `one` square,
    `three` of any shape, or `none`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.confidence < 1, "confidence", "in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Averaging(Group):
    """How a teacher averages the student's weights (EMA)."""

    ema: float = 0.996
    """Decay of a teacher's exponential moving average: the share of its weights that it keeps at each update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.ema < 1, "ema", "in [0, 1)")
