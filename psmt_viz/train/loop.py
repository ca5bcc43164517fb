"""PS-MT training and its supervised control, step by step."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from psmt_viz.config import Config
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.data.stream import Batch
from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.models.build import build_networks
from psmt_viz.perturb import adversarial_perturbation, frozen
from psmt_viz.perturb.norms import widened
from psmt_viz.results import TrainingBatch
from psmt_viz.seeds import derived_seed
from psmt_viz.train.draws import Draws
from psmt_viz.train.ema import ema_update
from psmt_viz.train.engine import Engine, Learner
from psmt_viz.train.losses import (
    Target,
    assisted_mean,
    confident_cross_entropy,
    labeled_cross_entropy,
    labeled_pixels,
    ohem_cross_entropy,
    pseudo_label,
)
from psmt_viz.train.optim import make_optimizer
from psmt_viz.train.parts import Parts
from psmt_viz.train.plan import Plan, learning_rate, resolve, unsup_weight
from psmt_viz.train.streams import open_streams


@dataclass(frozen=True, kw_only=True)
class StepLog:
    """What one step measured over all devices, NaN where it had nothing to measure; it stays on the device."""

    measured: Tensor
    """(4,) in the order of `MEASURED`."""
    unsup_weight: float
    learning_rate: float


MEASURED = ("loss_sup", "loss_unsup", "confident_fraction", "teacher_disagreement")
"""Losses; shares of the unlabelled pixels whose pseudo-label counts, and on which the two teachers disagree."""


class Trainer:
    """Holds the networks, optimisers and streams of a run and takes its steps.

    Args:
        config: The run's settings.
        data: The data set.
        engine: Where to compute; left out, in this process on the CPU.
        draws: What is random in a step after its batches; left out, it follows from the run's seed.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022).
    """

    def __init__(
        self,
        config: Config,
        data: SegmentationData,
        *,
        engine: Engine | None = None,
        draws: Draws | None = None,
    ) -> None:
        self.config, self.data, self._draws = config, data, draws or Draws(config)
        self.engine = engine = engine or Engine(system=config.system)
        engine.launch()
        self.device = engine.device
        self._psmt = config.method.method == "psmt"
        self.split = split = data.split(config.data.split)
        self.plan: Plan = resolve(config, split, devices=engine.world)
        self.networks = build_networks(
            config.model,
            data.classes,
            teachers=("teacher1", "teacher2") if self._psmt else (),
            teacher_start=config.method.teacher_start,
            teacher_heads=config.teacher_heads,
            seed=config.system.seed,
        ).to(self.device)
        if config.system.channels_last:
            self.networks.to(memory_format=torch.channels_last)
        self.learners: dict[str, Learner] = {}
        for role, network in self.networks.by_role().items():
            self.learners[role] = engine.prepare(network, make_optimizer(network, config.optim))
            if config.system.compile:
                network.encode = torch.compile(network.encode)  # type: ignore[method-assign]
                network.decode = torch.compile(network.decode)  # type: ignore[method-assign]

        self.streams = open_streams(config, self.plan, data, split, rank=engine.rank, world=engine.world)
        self._parts = Parts(config, self.plan, engine)

    def steps(self, first: int, last: int) -> Generator[StepLog, None, None]:
        """Takes the steps first, ..., last - 1, which lie on one side of the end of the warm-up."""
        names = ["labeled"]
        if self._psmt:
            names += ["teacher1", "teacher2"] if first < self.plan.warmup_steps else ["unlabeled"]
        batches = zip(*(self.streams[name].batches(first, last) for name in names), strict=True)
        for step, each in enumerate(batches, start=first):
            yield self.take(step, dict(zip(names, each, strict=True)))

    def take(self, step: int, batches: Mapping[str, Batch]) -> StepLog:
        """Takes one step with given batches.

        Args:
            step: Counted from the start of the warm-up; rate, weight, teacher and draws follow from it.
            batches: Stream -> this process's share of its batch: `labeled` and `unlabeled`; in the warm-up `labeled`,
                `teacher1` and `teacher2`; without teachers `labeled`.
        """
        there = {name: batch.to(self.device) for name, batch in batches.items()}
        devices = [self.device] if self.device.type == "cuda" else []
        # Networks with dropout draw from torch's global generator, which belongs to the caller.
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(derived_seed(self.config.system.seed, "step", step, self.engine.rank))
            if "unlabeled" in there:
                return self._psmt_step(step, there["labeled"], there["unlabeled"])
            return self._labeled_steps(step, there)

    def _psmt_step(self, step: int, labeled: Batch, unlabeled: Batch) -> StepLog:
        method, learner = self.config.method, self.learners["student"]
        lr, weight = learning_rate(self.config, self.plan, step), unsup_weight(self.config, self.plan, step)
        updated = self._updated_teacher(step)
        known = self._parts.cut(labeled, method.batch_labeled)
        mixed = self._parts.cut(unlabeled, method.batch_unlabeled)
        # All targets come first: a pixel's share of the loss depends on how many pass in the whole batch.
        targets = self._targets(step, mixed, updated)
        counts = [labeled_pixels(part.label) for part in known.values()]
        shares, _ = self._parts.weights(counts, known, method.batch_labeled)
        passed = [target.pseudo.passing.flatten(1).sum(dim=1) for target in targets]
        unsup_shares, passing = self._parts.weights(passed, mixed, method.batch_unlabeled)
        losses = torch.zeros(2, device=self.device, dtype=self.engine.dtype)

        def logits(images: Tensor, branch: str, numbers: range) -> Tensor:
            noise = partial(self.noise, step, branch, numbers, images.shape[-2:])
            return learner(images, None if method.perturbation == "none" else noise)

        def sup(numbers: range, part: Batch, share: Tensor) -> Tensor:
            loss = self._labeled_loss(logits(self._unit(part.strong), "labeled", numbers), part.label, share)
            losses[0] += loss.detach()
            return loss

        def unsup(numbers: range, target: Target, share: Tensor) -> Tensor:
            loss = confident_cross_entropy(logits(target.images, "unlabeled", numbers), target.pseudo, share)
            losses[1] += loss.detach()
            return weight * loss

        # Two passes, each with batch statistics of its own, as in the published code.
        first = [partial(sup, *each) for each in zip(known, known.values(), shares, strict=True)]
        second = [partial(unsup, *each) for each in zip(mixed, targets, unsup_shares, strict=True)]
        learner.descend(list(zip(first, second, strict=True)), lr)
        ema_update(list(self.networks.teachers.values())[updated], self.networks.student, keep=method.ema)
        counts = [torch.stack([each.pseudo.valid.sum(), each.differing, each.seen]) for each in targets]
        valid, differing, seen = self.engine.sum(torch.stack(counts).sum(dim=0))
        pixels = torch.stack([passing, differing]).to(losses) / torch.stack([valid, seen]).clamp(min=1)
        return StepLog(measured=torch.cat([self.engine.sum(losses), pixels]), unsup_weight=weight, learning_rate=lr)

    def _labeled_steps(self, step: int, batches: Mapping[str, Batch]) -> StepLog:
        """Teaches each network from labelled images alone: the warm-up of PS-MT, or the supervised control."""
        lr = learning_rate(self.config, self.plan, step)
        for role in [name for name in batches if name != "labeled"]:
            self._labeled_step(role, batches[role], "weak", lr)
        loss = self._labeled_step("student", batches["labeled"], "strong", lr)
        unmeasured = torch.full((len(MEASURED) - 1,), torch.nan, device=self.device, dtype=loss.dtype)
        return StepLog(measured=torch.cat([loss.view(1), unmeasured]), unsup_weight=0.0, learning_rate=lr)

    def _labeled_step(self, role: str, batch: Batch, view: Literal["weak", "strong"], lr: float) -> Tensor:
        learner, total = self.learners[role], torch.zeros((), device=self.device, dtype=self.engine.dtype)
        parts = self._parts.cut(batch, self.config.method.batch_labeled)
        counts = [labeled_pixels(part.label) for part in parts.values()]
        shares, _ = self._parts.weights(counts, parts, self.config.method.batch_labeled)

        def loss(part: Batch, share: Tensor) -> Tensor:
            value = self._labeled_loss(learner(self._unit(getattr(part, view))), part.label, share)
            total.add_(value.detach())
            return value

        learner.descend([[partial(loss, *each)] for each in zip(parts.values(), shares, strict=True)], lr)
        return self.engine.sum(total)

    def _labeled_loss(self, logits: Tensor, label: Tensor, share: Tensor) -> Tensor:
        method = self.config.method
        if method.sup_loss == "ce":
            return labeled_cross_entropy(logits, label.long(), share)
        # Which pixels are hard shows only now, so the parts' means have equal weight.
        kept = method.ohem_kept * len(label)
        return ohem_cross_entropy(logits, label.long(), threshold=method.ohem_threshold, kept=kept) / self.plan.parts

    def _targets(self, step: int, parts: Mapping[range, Batch], updated: int) -> list[Target]:
        """Makes the targets of this process's parts."""
        teachers = self.networks.teachers.train(self.config.method.pseudo_labels == "train")
        if not teachers.training:
            return [self._target(step, numbers, batch, updated) for numbers, batch in parts.items()]
        statistics, targets = self.engine.statistics(teachers, len(parts)), []
        for numbers, batch in parts.items():
            with statistics.part():
                targets.append(self._target(step, numbers, batch, updated))
        statistics.settle()
        return targets

    @torch.no_grad()
    def _target(self, step: int, numbers: range, batch: Batch, updated: int) -> Target:
        method = self.config.method
        weak, strong = self._unit(batch.weak), self._unit(batch.strong)
        valid = torch.ones_like(batch.label, dtype=torch.bool) if method.count_padding else batch.label != IGNORE
        with self.engine.arithmetic():
            logits = [teacher(weak) for teacher in self.networks.teachers.values()]
        differing, seen = ((logits[0].argmax(dim=1) != logits[1].argmax(dim=1)) & valid).sum(), valid.sum()
        mean = assisted_mean(logits[updated], logits[1 - updated], top=method.assist_top)
        mix = self._draws.mix(step, numbers, strong.shape[-2], strong.shape[-1], self.device)
        if mix is not None:
            strong, mean, valid = mix.paste(strong), mix.paste(mean), mix.paste(valid)
        pseudo = pseudo_label(mean, valid, threshold=method.confidence)
        return Target(images=strong, pseudo=pseudo, differing=differing, seen=seen)

    def noise(self, step: int, branch: str, numbers: range, size: torch.Size, z: Tensor) -> Tensor:
        """Returns the adversarial noise for the student's z of some images, (B, C, h, w), without a graph.

        Args:
            step: The step.
            branch: `labeled` or `unlabeled`.
            numbers: Numbers of the images in the step's batch.
            size: Height and width of the images.
            z: Their features.
        """
        method = self.config.method
        role = "ensemble" if method.perturbation == "tvat" else "student"
        try:
            # The exponent range of fp16 is too short for the small gradients of a search.
            short = self.config.system.precision == "bf16"
            with frozen(self.networks), torch.autocast(z.device.type, dtype=torch.bfloat16, enabled=short):
                wide = widened(z)
                return adversarial_perturbation(
                    lambda features: self.networks.decode(role, features, size),
                    wide,
                    eps=method.eps,
                    xi=method.xi,
                    noise=method.noise,
                    floor=method.norm_floor,
                    # The images of one call on one GPU of the published training.
                    batch=max(1, len(z) * self.plan.parts // self.config.groups),
                    start=self._draws.start(step, branch, numbers, wide),
                ).delta
        except UserError as error:
            fix = "lower --lr; the last checkpoint is kept"
            raise UserError(f"{error.expected} at step {step}", error.got, fix) from None

    def _updated_teacher(self, step: int) -> int:
        return updated_teacher((step - self.plan.warmup_steps) // self.plan.steps_per_epoch)

    def _unit(self, images: Tensor) -> Tensor:
        return images.to(self.engine.dtype) / 255

    @torch.no_grad()
    def picture(self, step: int, *, images: int = 4) -> TrainingBatch:
        """Returns some images of a step's batch as the networks see them; changes nothing."""
        student = self.networks.student
        labeled = next(self.streams["labeled"].batches(step, step + 1)).to(self.device)
        unknown = torch.full(labeled.label.shape, torch.nan, device=self.device)
        parts = [(labeled.weak, labeled.strong, labeled.label, unknown)]
        if self._psmt:
            step = max(step, self.plan.warmup_steps)
            unlabeled = next(self.streams["unlabeled"].batches(step, step + 1)).to(self.device)
            self.networks.eval()
            mixed = self._target(step, range(len(unlabeled.label)), unlabeled, self._updated_teacher(step))
            target = mixed.pseudo.target.masked_fill(~mixed.pseudo.passing, IGNORE)
            parts.append((unlabeled.weak, (mixed.images * 255).round().byte(), target, mixed.pseudo.confidence))
        weak, strong, target, confidence = (
            torch.cat([part[:images] for part in column]) for column in zip(*parts, strict=True)
        )
        with self.engine.arithmetic():
            prediction = student.eval()(self._unit(strong)).argmax(dim=1).byte()
        columns = {
            "weak view": weak.permute(0, 2, 3, 1),
            "strong view": strong.permute(0, 2, 3, 1),
            "truth or pseudo-label": target,
            "student's prediction": prediction,
        }
        return TrainingBatch(
            classes=self.networks.classes,
            columns={title: values.cpu().numpy() for title, values in columns.items()},
            confidence=confidence.cpu().numpy() if self._psmt else None,
        )


def updated_teacher(epoch: int) -> int:
    """Returns the index of the teacher that learns in an epoch, counted from 0 after the warm-up: 0, 1, 0, 1, ..."""
    return epoch % 2
