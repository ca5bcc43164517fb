"""What the file of a training method builds on: the tools of a step, and what every method shares.

A step may run in several processes, each of which works through several micro-batches; the tools make it the same step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, cast

import torch
from torch import Tensor

from psmt_viz.config import Config
from psmt_viz.data.loader import Batch
from psmt_viz.methods.settings import LABELED, Method
from psmt_viz.models.networks import Networks
from psmt_viz.roles import STUDENT
from psmt_viz.train.engine import Engine
from psmt_viz.train.learner import Learner
from psmt_viz.train.losses import PseudoLabel, labeled_cross_entropy, labeled_pixels, ohem_cross_entropy
from psmt_viz.train.micro_batches import MicroBatch, MicroBatches
from psmt_viz.train.plan import Plan, learning_rate, unsup_weight
from psmt_viz.train.random_draws import RandomDraws

Settings = TypeVar("Settings", bound=Method)


@dataclass(frozen=True, kw_only=True)
class StepLog:
    """What one step measured over all devices."""

    measured: Mapping[str, Tensor]
    """Name -> value, (), on the device: losses, whose names begin with `loss_`, and others. What a step did not measure
    is not there."""
    learning_rate: float
    unsup_weight: float = 0.0
    faults: Tensor | None = None
    """(3,) on the device: images whose search for noise failed, by fault (see `perturb.fault_of`)."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the student shall say of some unlabelled images."""

    images: Tensor
    """(B, 3, H, W) in [0, 1], as the student sees them."""
    pseudo: PseudoLabel


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The networks of a run and where to train them."""

    config: Config
    plan: Plan
    engine: Engine
    networks: Networks
    learners: Mapping[str, Learner]
    """Role -> the network with its optimiser, of those that learn by gradients."""
    draws: RandomDraws


class TrainingMethod(Generic[Settings]):
    """A method: its steps, and what it tells beside their losses.

    Args:
        setup: Networks, learners and where to compute.
    """

    def __init__(self, setup: Setup) -> None:
        self.config, self.plan, self.engine = setup.config, setup.plan, setup.engine
        self.settings = cast(Settings, setup.config.method)
        self.networks, self.learners, self.draws = setup.networks, setup.learners, setup.draws
        self.micro_batches = MicroBatches(setup.config, setup.plan, setup.engine)

    def step(self, step: int, batches: Mapping[str, Batch]) -> StepLog:
        """Takes one step of the warm-up, or one after it.

        Args:
            step: Counted from the start of the warm-up.
            batches: Loader -> this process's share of its batch, on the device (see `Method.loaders`).
        """
        raise NotImplementedError

    def target(self, step: int, unlabeled: MicroBatch) -> Target:
        """Returns what the student shall say of unlabelled images in a step; methods without any have none."""
        raise NotImplementedError

    def epoch_measures(self) -> dict[str, float]:
        """Measures what an epoch ends with, beside scores and the means of its steps; by column of metrics.csv."""
        return {}

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of a step."""
        return learning_rate(self.config, self.plan, step)

    def unsup_weight(self, step: int) -> float:
        """Returns the weight of the unsupervised loss in a step."""
        return unsup_weight(self.config, self.plan, step)

    def warmup_step(self, step: int, batches: Mapping[str, Batch]) -> StepLog:
        """Takes a step of labelled images alone: each learner from its own batch, the student from strong views."""
        lr = self.learning_rate(step)
        for role in self.settings.learners:
            if role != STUDENT:
                self.labeled_step(role, batches[role], "weak", lr)
        loss = self.labeled_step(STUDENT, batches[LABELED], "strong", lr)
        return StepLog(measured={"loss_sup": loss}, learning_rate=lr)

    def labeled_step(self, role: str, batch: Batch, view: Literal["weak", "strong"], lr: float) -> Tensor:
        """Takes an optimiser step of one network on labelled images; returns the loss over all processes, ()."""
        learner, total = self.learners[role], self.zero()
        labeled = self.micro_batches.cut(batch, self.settings.batch_labeled)
        weights, _ = self.micro_batches.pixel_weights(labeled, [labeled_pixels(known.label) for known in labeled])
        learner.start_step(lr, micro_batches=len(labeled))
        for known, weight in zip(labeled, weights, strict=True):
            with learner.micro_batch():
                loss = self.supervised_loss(learner(getattr(known, view)), known.label, weight)
                learner.backward(loss)
                total += loss.detach()
        learner.step()
        return self.engine.sum(total)

    def supervised_loss(self, logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        """Returns a micro-batch's share of the supervised loss, ().

        Args:
            logits: (B, K, H, W).
            label: (B, H, W) uint8 class ids, 255 where there is none.
            weight: (B,) of a labelled pixel of each image (see `MicroBatches.pixel_weights`).
        """
        settings = self.settings
        if settings.sup_loss == "ce":
            return labeled_cross_entropy(logits, label.long(), weight)
        # Which pixels are hard shows only now, so the micro-batches' means have equal weight.
        kept = settings.ohem_kept * len(label)
        loss = ohem_cross_entropy(logits, label.long(), threshold=settings.ohem_threshold, kept=kept)
        return loss / self.plan.micro_batches

    def zero(self) -> Tensor:
        """Returns 0 where losses are summed up, ()."""
        return torch.zeros((), device=self.engine.device, dtype=self.engine.dtype)
