"""PS-MT training and its supervised control, step by step."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from psmt_viz.config import Config
from psmt_viz.data.cutmix import draw_mix
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.data.stream import Batch, Stream
from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.models.psmt import PSMT
from psmt_viz.perturb import adversarial_perturbation, frozen
from psmt_viz.results import TrainingBatch
from psmt_viz.schedules import poly, ramp_up
from psmt_viz.seeds import derived_seed
from psmt_viz.train.engine import Engine, Learner
from psmt_viz.train.losses import (
    PseudoLabel,
    assisted_mean,
    confident_cross_entropy,
    labeled_cross_entropy,
    labeled_pixels,
    ohem_cross_entropy,
    pseudo_label,
)
from psmt_viz.train.optim import make_optimizer
from psmt_viz.train.plan import Plan, resolve


@dataclass(frozen=True, kw_only=True)
class StepLog:
    """What one step measured over all devices, NaN where it had nothing to measure; it stays on the device."""

    measured: Tensor
    """(4,) in the order of `MEASURED`."""
    unsup_weight: float
    learning_rate: float


MEASURED = ("loss_sup", "loss_unsup", "confident_fraction", "teacher_disagreement")
"""Losses; shares of the unlabelled pixels whose pseudo-label counts, and on which the two teachers disagree."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The strong view of some unlabelled images after CutMix, with its pseudo-labels."""

    images: Tensor
    """(B, 3, H, W) in [0, 1]."""
    pseudo: PseudoLabel
    differing: Tensor
    """Pixels on which the teachers disagree, ()."""


class Trainer:
    """Holds the networks, optimisers and streams of a run and takes its steps.

    Args:
        config: The run's settings.
        data: The data set.
        engine: Where to compute; left out, in this process on the CPU.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022).
    """

    def __init__(self, config: Config, data: SegmentationData, *, engine: Engine | None = None) -> None:
        self.config, self.data = config, data
        self.engine = engine = engine or Engine(system=config.system)
        engine.launch()
        self.device = engine.device
        method, seed = config.method, config.system.seed
        self._psmt = method.method == "psmt"
        self.split = split = data.split(config.data.split)
        self.plan: Plan = resolve(config, split, devices=engine.world)
        self.bundle = PSMT(
            config.model, data.classes, teachers=self._psmt, teacher_start=method.teacher_start, seed=seed
        ).to(self.device)
        if config.system.channels_last:
            self.bundle.to(memory_format=torch.channels_last)
        self.learners: dict[str, Learner] = {}
        for role, network in self.bundle.networks().items():
            self.learners[role] = engine.prepare(network, make_optimizer(network, config.optim))
            if config.system.compile:
                network.encode = torch.compile(network.encode)  # type: ignore[method-assign]
                network.decode = torch.compile(network.decode)  # type: ignore[method-assign]

        def stream(name: str, ids: tuple[str, ...], batch: int, *, rounds: bool, replay: bool = False) -> Stream:
            return Stream(
                data,
                ids,
                labeled=name != "unlabeled",
                views=config.views,
                batch=batch,
                seed=seed,
                name=name,
                workers=config.system.workers,
                round_steps=self.plan.steps_per_epoch if rounds else None,
                replay=replay,
                rank=engine.rank,
                world=engine.world,
            )

        replay = method.labeled_stream == "replay"
        # Each teacher warms up on its own order, or the two would stay alike.
        names = ("labeled", "teacher1", "teacher2") if self._psmt else ("labeled",)
        self.streams = {
            name: stream(name, split.labeled, method.batch_labeled, rounds=replay, replay=replay) for name in names
        }
        if self._psmt:
            one_pass = method.steps_per_epoch is None
            self.streams["unlabeled"] = stream("unlabeled", split.unlabeled, method.batch_unlabeled, rounds=one_pass)

    def steps(self, first: int, last: int) -> Generator[StepLog, None, None]:
        """Takes the steps first, ..., last - 1, which lie on one side of the end of the warm-up."""
        warming = first < self.plan.warmup_steps
        needed = ["labeled"]
        if self._psmt:
            needed += ["teacher1", "teacher2"] if warming else ["unlabeled"]
        batches = zip(*(self.streams[name].batches(first, last) for name in needed), strict=True)
        for step, views in enumerate(batches, start=first):
            labeled, *others = (batch.to(self.device) for batch in views)
            devices = [self.device] if self.device.type == "cuda" else []
            # Networks with dropout draw from torch's global generator, which belongs to the caller.
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(derived_seed(self.config.system.seed, "step", step, self.engine.rank))
                if self._psmt and not warming:
                    log = self._psmt_step(step, labeled, others[0])
                else:
                    log = self._labeled_steps(step, labeled, others)
            yield log

    def _psmt_step(self, step: int, labeled: Batch, unlabeled: Batch) -> StepLog:
        method, count = self.config.method, self.config.system.accumulate
        done = step - self.plan.warmup_steps
        updated = updated_teacher(done // self.plan.steps_per_epoch)
        weight = method.unsup_weight * ramp_up(done, self.plan.ramp_steps, kind=method.ramp)
        lr = self._lr(step)
        learner = self.learners["student"]
        # All targets come first: each part's loss is divided by the pixels that pass in the whole batch.
        parts = [self.engine.rank * count + index for index in range(count)]
        targets = self._targets(step, dict(zip(parts, unlabeled.parts(count), strict=True)), updated)
        known, passing, valid, differing = self._pixels(labeled, targets)
        losses = torch.zeros(2, device=self.device)

        def loss(part: int, batch: Batch, target: Target) -> Tensor:
            perturb = partial(self._perturbation, step, part, batch.label.shape[-2:])
            images = torch.cat([_unit(batch.strong), target.images])
            logits = learner(images, None if method.perturbation == "none" else perturb)
            split = len(batch.label)
            sup = self._labeled_loss(logits[:split], batch.label, known)
            unsup = confident_cross_entropy(logits[split:], target.pseudo, passing)
            losses.add_(torch.stack([sup, unsup]).detach())
            return sup + weight * unsup

        work = zip(parts, labeled.parts(count), targets, strict=True)
        learner.descend([partial(loss, *each) for each in work], lr)
        self.bundle.update_teacher(updated, method.ema)
        shares = torch.stack([passing, differing]) / valid.clamp(min=1)
        return StepLog(measured=torch.cat([self.engine.sum(losses), shares]), unsup_weight=weight, learning_rate=lr)

    def _labeled_steps(self, step: int, labeled: Batch, own: list[Batch]) -> StepLog:
        """Teaches each network from labelled images alone: the warm-up of PS-MT, or the supervised control."""
        lr = self._lr(step)
        for role, batch in zip(("teacher1", "teacher2"), own, strict=False):
            self._labeled_step(role, batch.weak, batch.label, lr)
        loss = self._labeled_step("student", labeled.strong, labeled.label, lr)
        unmeasured = torch.full((len(MEASURED) - 1,), torch.nan, device=self.device)
        return StepLog(measured=torch.cat([loss.view(1), unmeasured]), unsup_weight=0.0, learning_rate=lr)

    def _labeled_step(self, role: str, images: Tensor, label: Tensor, lr: float) -> Tensor:
        learner, count = self.learners[role], self.config.system.accumulate
        known, total = self.engine.sum(labeled_pixels(label)), torch.zeros((), device=self.device)

        def loss(part: Tensor, truth: Tensor) -> Tensor:
            value = self._labeled_loss(learner(_unit(part)), truth, known)
            total.add_(value.detach())
            return value

        parts = zip(images.chunk(count), label.chunk(count), strict=True)
        learner.descend([partial(loss, *each) for each in parts], lr)
        return self.engine.sum(total)

    def _labeled_loss(self, logits: Tensor, label: Tensor, known: Tensor) -> Tensor:
        method = self.config.method
        if method.sup_loss == "ce":
            return labeled_cross_entropy(logits, label.long(), known)
        # Which pixels are hard shows only now, so the parts' means have equal weight.
        kept = method.ohem_kept * len(label)
        return ohem_cross_entropy(logits, label.long(), threshold=method.ohem_threshold, kept=kept) / self.plan.parts

    def _pixels(self, labeled: Batch, targets: list[Target]) -> Tensor:
        """Counts over all devices: labelled pixels; unlabelled ones that pass, that are valid, that divide opinions."""
        pseudo = [target.pseudo for target in targets]
        counts = [
            labeled_pixels(labeled.label),
            torch.stack([each.passing.sum() for each in pseudo]).sum(),
            torch.stack([each.valid.sum() for each in pseudo]).sum(),
            torch.stack([target.differing for target in targets]).sum(),
        ]
        return self.engine.sum(torch.stack(counts))

    def _lr(self, step: int) -> float:
        warmup, lr = self.plan.warmup_steps, self.config.learning_rate
        if step < warmup:
            return lr
        return lr * poly(step - warmup, self.plan.total_steps - warmup, power=self.config.optim.power)

    def _targets(self, step: int, parts: dict[int, Batch], updated: int) -> list[Target]:
        """Makes the targets of this process's parts, by their number."""
        teachers = self.bundle.teachers.train(self.config.method.pseudo_labels == "train")
        if not teachers.training:
            return [self._target(step, part, batch, updated) for part, batch in parts.items()]
        statistics, targets = self.engine.statistics(teachers, len(parts)), []
        for part, batch in parts.items():
            with statistics.part():
                targets.append(self._target(step, part, batch, updated))
        statistics.settle()
        return targets

    @torch.no_grad()
    def _target(self, step: int, part: int, batch: Batch, updated: int) -> Target:
        method, seed = self.config.method, self.config.system.seed
        weak, strong = _unit(batch.weak), _unit(batch.strong)
        valid = torch.ones_like(batch.label, dtype=torch.bool) if method.count_padding else batch.label != IGNORE
        with self.engine.arithmetic():
            logits = [teacher(weak) for teacher in self.bundle.teachers]
        differing = ((logits[0].argmax(dim=1) != logits[1].argmax(dim=1)) & valid).sum()
        mean = assisted_mean(logits[updated], logits[1 - updated], top=method.assist_top)
        if method.cutmix != "none":
            mix = draw_mix(
                method.cutmix,
                len(strong),
                *strong.shape[-2:],
                boxes=torch.Generator().manual_seed(derived_seed(seed, "cutmix", step)),
                partners=torch.Generator().manual_seed(derived_seed(seed, "cutmix", step, part)),
                device=self.device,
            )
            strong, mean, valid = mix.paste(strong), mix.paste(mean), mix.paste(valid)
        return Target(images=strong, pseudo=pseudo_label(mean, valid, threshold=method.confidence), differing=differing)

    def _perturbation(self, step: int, part: int, size: torch.Size, z: Tensor) -> Tensor:
        method = self.config.method
        role = "ensemble" if method.perturbation == "tvat" else "student"
        try:
            # The exponent range of fp16 is too short for the small gradients of a search.
            short = self.config.system.precision == "bf16"
            with frozen(self.bundle), torch.autocast(z.device.type, dtype=torch.bfloat16, enabled=short):
                return adversarial_perturbation(
                    lambda features: self.bundle.decode(role, features, size),
                    z.float(),
                    eps=method.eps,
                    xi=method.xi,
                    noise=method.noise,
                    floor=method.norm_floor,
                    generator=self._generators(step, part, len(z)),
                ).delta
        except UserError as error:
            fix = "lower --lr; the last checkpoint is kept"
            raise UserError(f"{error.expected} at step {step}", error.got, fix) from None

    def _generators(self, step: int, part: int, images: int) -> list[torch.Generator]:
        """One generator an image, the same wherever and with whichever others it is computed."""
        seed, labeled = self.config.system.seed, self.config.method.batch_labeled // self.plan.parts
        names = [("labeled", part * labeled + index) for index in range(labeled)]
        names += [("unlabeled", part * (images - labeled) + index) for index in range(images - labeled)]
        return [torch.Generator(self.device).manual_seed(derived_seed(seed, "noise", step, *name)) for name in names]

    @torch.no_grad()
    def picture(self, step: int, *, images: int = 4) -> TrainingBatch:
        """Returns some images of a step's batch as the networks see them; changes nothing."""
        student = self.bundle.student
        labeled = next(self.streams["labeled"].batches(step, step + 1)).to(self.device)
        unknown = torch.full(labeled.label.shape, torch.nan, device=self.device)
        parts = [(labeled.weak, labeled.strong, labeled.label, unknown)]
        if self._psmt:
            unlabeled = next(self.streams["unlabeled"].batches(step, step + 1)).to(self.device)
            epoch = max(0, step - self.plan.warmup_steps) // self.plan.steps_per_epoch
            self.bundle.eval()
            mixed = self._target(step, 0, unlabeled, updated_teacher(epoch))
            target = mixed.pseudo.target.masked_fill(~mixed.pseudo.passing, IGNORE)
            parts.append((unlabeled.weak, (mixed.images * 255).round().byte(), target, mixed.pseudo.confidence))
        weak, strong, target, confidence = (
            torch.cat([part[:images] for part in column]) for column in zip(*parts, strict=True)
        )
        with self.engine.arithmetic():
            prediction = student.eval()(_unit(strong)).argmax(dim=1).byte()
        columns = {
            "weak view": weak.permute(0, 2, 3, 1),
            "strong view": strong.permute(0, 2, 3, 1),
            "truth or pseudo-label": target,
            "student's prediction": prediction,
        }
        return TrainingBatch(
            classes=self.bundle.classes,
            columns={title: values.cpu().numpy() for title, values in columns.items()},
            confidence=confidence.cpu().numpy() if self._psmt else None,
        )


def updated_teacher(epoch: int) -> int:
    """Returns the index of the teacher that learns in an epoch, counted from 0 after the warm-up: 0, 1, 0, 1, ..."""
    return epoch % 2


def _unit(images: Tensor) -> Tensor:
    return images.float() / 255
