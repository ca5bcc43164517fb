"""The step of PS-MT: perturbed and strict mean teachers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from psmt_viz.data.loader import Batch
from psmt_viz.methods.psmt import PSMTConfig
from psmt_viz.metrics import IGNORE
from psmt_viz.perturb import adversarial_perturbation, frozen
from psmt_viz.perturb.norms import widened
from psmt_viz.search import Search
from psmt_viz.train.distance import relative_distance
from psmt_viz.train.ema import ema_update
from psmt_viz.train.learner import Perturb
from psmt_viz.train.losses import assisted_mean, confident_cross_entropy, labeled_pixels, pseudo_label
from psmt_viz.train.method import Setup, StepLog, Target, TrainingMethod
from psmt_viz.train.micro_batches import MicroBatch


@dataclass(frozen=True, kw_only=True)
class TeachersTarget(Target):
    """The strong view after CutMix, with its pseudo-labels, and what the teachers say before it."""

    differing: Tensor
    """Valid pixels on which the teachers disagree, ()."""
    seen: Tensor
    """Valid pixels, ()."""


class PSMT(TrainingMethod[PSMTConfig]):
    """Two teachers label images; a student, whose features they perturb, learns from them; one of them follows it.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022).
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._faults: list[Tensor] = []

    def step(self, step: int, batches: Mapping[str, Batch]) -> StepLog:
        """Takes one step: in the warm-up of each network alone, then of the student and of the teacher in turn."""
        settings, student = self.settings, self.learners["student"]
        if step < self.plan.warmup_steps:
            return self.warmup_step(step, batches)
        lr, unsup_weight = self.learning_rate(step), self.unsup_weight(step)

        # Views.
        labeled = self.micro_batches.cut(batches["labeled"], settings.batch_labeled)
        unlabeled = self.micro_batches.cut(batches["unlabeled"], settings.batch_unlabeled)

        # Targets: all of them first, for a pixel's weight depends on how many pass in the whole batch.
        targets: list[TeachersTarget] = []
        teachers = self.networks.teachers.train(settings.pseudo_labels == "train")
        statistics = self.engine.shared_statistics(teachers, len(unlabeled))
        for unknown in unlabeled:
            with statistics.micro_batch():
                targets.append(self.target(step, unknown))
        statistics.finish()
        counts = [labeled_pixels(known.label) for known in labeled]
        known_weights, _ = self.micro_batches.pixel_weights(labeled, counts)
        counts = [target.pseudo.passing.flatten(1).sum(dim=1) for target in targets]
        target_weights, passing = self.micro_batches.pixel_weights(unlabeled, counts)

        # Noise, losses, gradients: labelled and mixed images one after the other, each with batch statistics of their
        # own, as in the published code.
        loss_sup, loss_unsup = self.zero(), self.zero()
        self._faults.clear()
        student.start_step(lr, micro_batches=len(labeled), passes=2)
        for index, (known, target) in enumerate(zip(labeled, targets, strict=True)):
            with student.micro_batch():
                logits = student(known.strong, self.noise(step, "labeled", known))
                loss = self.supervised_loss(logits, known.label, known_weights[index])
                student.backward(loss)
                loss_sup += loss.detach()

                logits = student(target.images, self.noise(step, "unlabeled", unlabeled[index]))
                loss = confident_cross_entropy(logits, target.pseudo, target_weights[index])
                student.backward(unsup_weight * loss)
                loss_unsup += loss.detach()
        student.step()
        ema_update(self.networks.by_role()[self.turn(step)], student.network, keep=settings.ema)

        seen = [torch.stack([each.pseudo.valid.sum(), each.differing, each.seen]) for each in targets]
        valid, differing, before = self.engine.sum(torch.stack(seen).sum(dim=0))
        sums = self.engine.sum(torch.cat([torch.stack([loss_sup, loss_unsup]), *self._faults_of_step()]))
        losses, faults = sums[:2], sums[2:] if len(sums) > 2 else None
        shares = torch.stack([passing, differing]).to(losses) / torch.stack([valid, before]).clamp(min=1)
        names = ("loss_sup", "loss_unsup", "confident_fraction", "teacher_disagreement")
        measured = dict(zip(names, [*losses, *shares], strict=True))
        return StepLog(measured=measured, learning_rate=lr, unsup_weight=unsup_weight, faults=faults)

    def turn(self, step: int) -> str:
        """Returns the teacher that follows the student in a step: they take turns, epoch by epoch."""
        epoch = (step - self.plan.warmup_steps) // self.plan.steps_per_epoch
        return self.settings.teachers[epoch % 2]

    @torch.no_grad()
    def target(self, step: int, unlabeled: MicroBatch) -> TeachersTarget:
        """Labels the weak views by both teachers, and mixes the strong ones with their labels."""
        settings, strong = self.settings, unlabeled.strong
        valid = unlabeled.label != IGNORE
        if settings.count_padding:
            valid = torch.ones_like(valid)
        weak, networks = unlabeled.weak, self.networks.by_role()
        with self.engine.autocast():
            logits = {role: networks[role](weak) for role in settings.teachers}
        # On a CPU several times as fast as argmax.
        first, second = (each.max(dim=1).indices for each in logits.values())
        differing, seen = ((first != second) & valid).sum(), valid.sum()
        updated = logits.pop(self.turn(step))
        (other,) = logits.values()
        mean = assisted_mean(updated, other, top=settings.assist_top)
        mix = self.draws.mix(settings.cutmix, step, unlabeled.images, strong.shape[-2:], strong.device)
        if mix is not None:
            strong, mean, valid = mix.paste(strong), mix.paste(mean), mix.paste(valid)
        pseudo = pseudo_label(mean, valid, threshold=settings.confidence)
        return TeachersTarget(images=strong, pseudo=pseudo, differing=differing, seen=seen)

    def noise(self, step: int, branch: str, images: MicroBatch) -> Perturb | None:
        """Returns what finds the noise for the student's z of some images; None where there shall be none."""
        if self.settings.perturbation == "none":
            return None
        return partial(self.searched_noise, step, branch, images)

    def searched_noise(self, step: int, branch: str, images: MicroBatch, z: Tensor) -> Tensor:
        """Returns the adversarial noise for the student's z of some images, (B, C, h, w), without a graph.

        Args:
            step: The step.
            branch: `labeled` or `unlabeled`.
            images: The images.
            z: Their features.
        """
        settings, size = self.settings, images.label.shape[-2:]
        role = "ensemble" if settings.perturbation == "tvat" else "student"
        # The exponent range of fp16 is too short for the small gradients of a search. In bf16 a central difference
        # keeps the direction, and costs half of a search in float32. A floor is in units of a plain difference.
        short = self.config.system.precision == "bf16"
        search: Search = "central-difference" if short and settings.norm_floor == 0 else "finite-difference"
        with frozen(self.networks), torch.autocast(z.device.type, dtype=torch.bfloat16, enabled=short):
            wide = widened(z)
            found = adversarial_perturbation(
                lambda features: self.networks.decode(role, features, size),
                wide,
                eps=settings.eps,
                xi=settings.xi,
                noise=settings.noise,
                floor=settings.norm_floor,
                search=search,
                # The images of one call on one GPU of the published training.
                batch=max(1, len(z) * self.plan.micro_batches // settings.groups),
                start=self.draws.start(step, branch, images.images, wide, uniform=settings.noise == "uniform"),
                wait=False,  # what is wrong is told with the step's numbers
            )
        assert found.faults is not None
        self._faults.append(found.faults)
        return found.delta

    def _faults_of_step(self) -> list[Tensor]:
        """Returns the images of the step's searches by fault, (3,) in a list; nothing without a search."""
        return [torch.cat(self._faults).sum(dim=0)] if self._faults else []

    def epoch_measures(self) -> dict[str, float]:
        """Measures how far the teachers' weights are apart."""
        first, second = (self.networks.by_role()[role] for role in self.settings.teachers)
        return {"teacher_distance": relative_distance(first, second)}
