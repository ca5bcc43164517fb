"""The step of Mean Teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from psmt_viz.data.loader import Batch
from psmt_viz.methods.mean_teacher import MeanTeacherConfig
from psmt_viz.metrics import IGNORE
from psmt_viz.perturb.norms import widened
from psmt_viz.train.ema import ema_update
from psmt_viz.train.losses import labeled_pixels, pseudo_label
from psmt_viz.train.method import StepLog, Target, TrainingMethod
from psmt_viz.train.micro_batches import MicroBatch


@dataclass(frozen=True, kw_only=True)
class ProbabilityTarget(Target):
    """The strong view, with what the teacher says of the weak one."""

    probabilities: Tensor
    """(B, K, H, W)."""


class MeanTeacher(TrainingMethod[MeanTeacherConfig]):
    """A student learns from labels, and to say of strong views what its running average says of the weak ones.

    Mean teachers are better role models (Tarvainen and Valpola, 2017).
    """

    def step(self, step: int, batches: Mapping[str, Batch]) -> StepLog:
        """Takes one step: of labelled images alone in the warm-up, of both after it; the teacher follows each time."""
        settings, student = self.settings, self.learners["student"]
        lr, unsup_weight = self.learning_rate(step), self.unsup_weight(step)
        if step < self.plan.warmup_steps:
            log = self.warmup_step(step, batches)
            self.update_teacher(step)
            return log

        # Views, and what a pixel of each image weighs in the losses: padding counts in neither.
        labeled = self.micro_batches.cut(batches["labeled"], settings.batch_labeled)
        unlabeled = self.micro_batches.cut(batches["unlabeled"], settings.batch_unlabeled)
        known_weights, _ = self.micro_batches.pixel_weights(labeled, [labeled_pixels(each.label) for each in labeled])
        weights, _ = self.micro_batches.pixel_weights(unlabeled, [labeled_pixels(each.label) for each in unlabeled])

        # Targets, losses, gradients.
        loss_sup, loss_unsup = self.zero(), self.zero()
        student.start_step(lr, micro_batches=len(labeled), passes=2)
        for index, (known, unknown) in enumerate(zip(labeled, unlabeled, strict=True)):
            with student.micro_batch():
                loss = self.supervised_loss(student(known.strong), known.label, known_weights[index])
                student.backward(loss)
                loss_sup += loss.detach()

                target = self.target(step, unknown)
                loss = consistency(student(target.images), target, weights[index])
                student.backward(unsup_weight * loss)
                loss_unsup += loss.detach()
        student.step()
        self.update_teacher(step)

        losses = self.engine.sum(torch.stack([loss_sup, loss_unsup]))
        measured = dict(zip(("loss_sup", "loss_unsup"), losses, strict=True))
        return StepLog(measured=measured, learning_rate=lr, unsup_weight=unsup_weight)

    @torch.no_grad()
    def target(self, step: int, unlabeled: MicroBatch) -> ProbabilityTarget:
        """Returns the strong views with the teacher's probabilities on the weak ones, with BatchNorm's averages."""
        with self.engine.autocast():
            logits = widened(self.networks.by_role()["teacher"].eval()(unlabeled.weak))
        pseudo = pseudo_label(logits, unlabeled.label != IGNORE, threshold=0.0)
        return ProbabilityTarget(images=unlabeled.strong, pseudo=pseudo, probabilities=logits.softmax(dim=1))

    def update_teacher(self, step: int) -> None:
        """Moves the teacher towards the student; at first it is the plain mean of the students so far."""
        keep = min(1 - 1 / (step + 1), self.settings.ema)
        ema_update(self.networks.by_role()["teacher"], self.networks.student, keep=keep)


def consistency(logits: Tensor, target: ProbabilityTarget, weight: Tensor) -> Tensor:
    """Returns the squared distance of two distributions over the classes, summed over the valid pixels, ().

    Args:
        logits: (B, K, H, W) of the student.
        target: The teacher's probabilities of the same pixels.
        weight: (B,) of a pixel of each image (see `MicroBatches.pixel_weights`).
    """
    distance = (widened(logits).softmax(dim=1) - target.probabilities).square().sum(dim=1)
    return ((distance * target.pseudo.valid).flatten(1).sum(dim=1) * weight).sum()
