"""PS-MT training and its supervised control."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from psmt_viz.config import Config
from psmt_viz.data.cutmix import draw_box
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.data.stream import Batch, Stream
from psmt_viz.errors import UserError
from psmt_viz.metrics import IGNORE
from psmt_viz.models.psmt import PSMT
from psmt_viz.perturb import adversarial_perturbation, frozen
from psmt_viz.results import TrainingBatch
from psmt_viz.schedules import poly, ramp_up
from psmt_viz.seeds import derived_seed
from psmt_viz.train.losses import assisted_mean, confident_cross_entropy, labeled_cross_entropy
from psmt_viz.train.optim import make_optimizer, set_lr
from psmt_viz.train.plan import Plan, resolve


@dataclass(frozen=True, kw_only=True)
class StepLog:
    """What one step measured, NaN where it had nothing to measure; tensors stay on the device until an epoch ends."""

    loss_sup: Tensor
    loss_unsup: Tensor
    confident_fraction: Tensor
    unsup_weight: float
    learning_rate: float


class Trainer:
    """Holds the networks, optimisers and streams of a run and takes its steps.

    Args:
        config: The run's settings.
        data: The data set.
        device: A torch device.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022).
    """

    def __init__(self, config: Config, data: SegmentationData, *, device: str) -> None:
        self.config, self.device = config, device
        self._psmt = config.method.method == "psmt"
        self.split = split = data.split(config.data.split)
        self.plan: Plan = resolve(config, split)
        seed = config.system.seed
        self.bundle = PSMT(config.model, data.classes, teachers=self._psmt, seed=seed).to(device)
        if config.system.channels_last:
            self.bundle.to(memory_format=torch.channels_last)
        self.optimizers = {
            role: make_optimizer(network, config.optim) for role, network in self.bundle.networks().items()
        }
        labeled, unlabeled = config.method.batch_labeled, config.method.batch_unlabeled

        def stream(name: str, ids: tuple[str, ...], batch: int) -> Stream:
            return Stream(
                data,
                ids,
                labeled=name != "unlabeled",
                views=config.views,
                batch=batch,
                seed=seed,
                name=name,
                workers=config.system.workers,
            )

        self.streams = {"labeled": stream("labeled", split.labeled, labeled)}
        if self._psmt:
            self.streams["unlabeled"] = stream("unlabeled", split.unlabeled, unlabeled)
            # Each teacher warms up on its own order, or the two would stay alike.
            self.streams |= {role: stream(role, split.labeled, labeled) for role in ("teacher1", "teacher2")}

    def steps(self, first: int, last: int) -> Iterator[StepLog]:
        """Takes the steps first, ..., last - 1, which lie on one side of the end of the warm-up."""
        warming = first < self.plan.warmup_steps
        needed = ["labeled"]
        if self._psmt:
            needed += ["teacher1", "teacher2"] if warming else ["unlabeled"]
        batches = zip(*(self.streams[name].batches(first, last) for name in needed), strict=True)
        for step, (labeled, *others) in enumerate(batches, start=first):
            if self._psmt and warming:
                yield self._warmup_step(labeled.to(self.device), [batch.to(self.device) for batch in others])
            elif self._psmt:
                yield self._psmt_step(step, labeled.to(self.device), others[0].to(self.device))
            else:
                yield self._supervised_step(step, labeled.to(self.device))

    def _psmt_step(self, step: int, labeled: Batch, unlabeled: Batch) -> StepLog:
        method, student = self.config.method, self.bundle.student
        done = step - self.plan.warmup_steps
        updated = updated_teacher(done // self.plan.steps_per_epoch)
        weight = method.unsup_weight * ramp_up(done, self.plan.ramp_steps, kind=method.ramp)
        lr = self._main_lr(step)

        mixed, pseudo, valid = self._unlabeled_target(step, unlabeled, updated)
        student.train()
        z = student.encode(torch.cat([_unit(labeled.strong), mixed]))
        z = z + self._perturbation(step, z, labeled.label.shape[-2:])
        logits = student.decode(z, labeled.label.shape[-2:])
        split = len(labeled.label)
        loss_sup = labeled_cross_entropy(logits[:split], labeled.label.long())
        loss_unsup, confident = confident_cross_entropy(logits[split:], pseudo, valid, threshold=method.confidence)

        self._descend("student", loss_sup + weight * loss_unsup, lr)
        self.bundle.update_teacher(updated, method.ema)
        return StepLog(
            loss_sup=loss_sup.detach(),
            loss_unsup=loss_unsup.detach(),
            confident_fraction=confident,
            unsup_weight=weight,
            learning_rate=lr,
        )

    def _warmup_step(self, labeled: Batch, own: list[Batch]) -> StepLog:
        lr = self.config.optim.lr
        for role, batch in zip(("teacher1", "teacher2"), own, strict=True):
            self._labeled_step(role, batch.weak, batch.label, lr)
        return self._labeled_step("student", labeled.strong, labeled.label, lr)

    def _supervised_step(self, step: int, labeled: Batch) -> StepLog:
        lr = self.config.optim.lr if step < self.plan.warmup_steps else self._main_lr(step)
        return self._labeled_step("student", labeled.strong, labeled.label, lr)

    def _labeled_step(self, role: str, images: Tensor, label: Tensor, lr: float) -> StepLog:
        network = self.bundle.networks()[role].train()
        loss = labeled_cross_entropy(network(_unit(images)), label.long())
        self._descend(role, loss, lr)
        unmeasured = torch.full((), torch.nan, device=self.device)
        return StepLog(
            loss_sup=loss.detach(),
            loss_unsup=unmeasured,
            confident_fraction=unmeasured,
            unsup_weight=0.0,
            learning_rate=lr,
        )

    def _main_lr(self, step: int) -> float:
        warmup, optim = self.plan.warmup_steps, self.config.optim
        return optim.lr * poly(step - warmup, self.plan.total_steps - warmup, power=optim.power)

    def _descend(self, role: str, loss: Tensor, lr: float) -> None:
        optimizer = self.optimizers[role]
        set_lr(optimizer, lr)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def _unlabeled_target(self, step: int, batch: Batch, updated: int) -> tuple[Tensor, Tensor, Tensor]:
        weak = _unit(batch.weak)
        logits = [teacher.eval()(weak) for teacher in self.bundle.teachers]
        pseudo = assisted_mean(logits[updated], logits[1 - updated], top=self.config.method.assist_top)
        strong, valid = _unit(batch.strong), batch.label != IGNORE
        if not self.config.method.cutmix:
            return strong, pseudo, valid
        generator = torch.Generator().manual_seed(derived_seed(self.config.system.seed, "cutmix", step))
        box = draw_box(len(strong), *strong.shape[-2:], generator=generator, device=self.device)
        return box.paste(strong), box.paste(pseudo), box.paste(valid)

    def _perturbation(self, step: int, z: Tensor, size: torch.Size) -> Tensor | float:
        method = self.config.method
        if method.perturbation == "none":
            return 0.0
        role = "ensemble" if method.perturbation == "tvat" else "student"
        generator = torch.Generator(self.device).manual_seed(derived_seed(self.config.system.seed, "noise", step))
        try:
            with frozen(self.bundle):
                return adversarial_perturbation(
                    lambda features: self.bundle.decode(role, features, size), z, eps=method.eps, generator=generator
                ).delta
        except UserError as error:
            fix = "lower --lr; the last checkpoint is kept"
            raise UserError(f"{error.expected} at step {step}", error.got, fix) from None

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
            mixed, pseudo, valid = self._unlabeled_target(step, unlabeled, updated_teacher(epoch))
            confidence, target = pseudo.softmax(dim=1).max(dim=1)
            target = target.byte().masked_fill(~valid | (confidence < self.config.method.confidence), IGNORE)
            parts.append((unlabeled.weak, (mixed * 255).round().byte(), target, confidence))
        weak, strong, target, confidence = (
            torch.cat([part[:images] for part in column]) for column in zip(*parts, strict=True)
        )
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
