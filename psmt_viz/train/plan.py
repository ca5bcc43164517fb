"""How many steps a run takes, resolved from its settings and its data, and what changes from step to step."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from psmt_viz.config import Config
from psmt_viz.data.dataset import Split
from psmt_viz.errors import UserError
from psmt_viz.schedules import poly, ramp_up
from psmt_viz.settings import flag_of


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Lengths in optimiser steps."""

    steps_per_epoch: int
    warmup_steps: int
    ramp_steps: int
    total_steps: int
    """Warm-up included."""
    micro_batches: int
    """Micro-batches into which a step's batch is cut, over all devices and one after the other on each; each has
    BatchNorm statistics of its own."""

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON, where the micro-batches are called `parts`."""
        values = asdict(self)
        values["parts"] = values.pop("micro_batches")
        return values

    def epoch_end(self, epoch: int) -> int:
        """Returns the step with which an epoch ends, counted from 0 at the start of the warm-up.

        The warm-up, whatever its length, is measured in epochs too; its last one may be shorter.
        """
        steps = (epoch + 1) * self.steps_per_epoch
        if steps - self.steps_per_epoch < self.warmup_steps:
            return min(steps, self.warmup_steps)
        return steps - (-self.warmup_steps % self.steps_per_epoch)


def resolve(config: Config, split: Split, *, devices: int = 1) -> Plan:
    """Turns epochs into steps.

    An epoch is `steps_per_epoch` steps or, where that is not set, one pass over the unlabelled images (over the
    labelled ones, if every image is labelled). An epoch of the warm-up is one pass over the labelled images.

    Args:
        config: The run's settings.
        split: Which images are labelled.
        devices: Processes that train together.

    Raises:
        UserError: if there is no labelled image, or no unlabelled one for a method that needs some, an epoch would have
            no step, or a batch cannot be cut into equal micro-batches.
    """
    method = config.method
    if not split.labeled:
        raise UserError("at least 1 labelled image", "none", "choose another --split or --labeled-list")
    if method.needs_unlabeled and not split.unlabeled:
        fix = "choose a --split that leaves some images unlabelled, or --method supervised"
        raise UserError(f"unlabelled images for {method.title}", "none", fix)
    micro_batches = devices * config.system.accumulate
    _check_shares(config, micro_batches, devices)
    drop = drops_last(config, micro_batches)
    if split.unlabeled:
        images, batch = split.unlabeled, method.batch_unlabeled
    else:
        images, batch = split.labeled, method.batch_labeled
    steps = method.steps_per_epoch or pass_steps(len(images), batch, groups=method.groups, drop_last=drop)
    if steps == 0:
        got = f"{len(images)} images at batch {batch}"
        raise UserError("at least one batch an epoch", got, "lower the batch or set --steps-per-epoch")
    warmup = method.warmup_steps
    if warmup is None:
        labeled = pass_steps(len(split.labeled), method.batch_labeled, groups=method.groups, drop_last=drop)
        # With fewer labelled images than a batch holds, a step sees some of them twice.
        warmup = method.warmup_epochs * max(1, labeled)
    return Plan(
        steps_per_epoch=steps,
        warmup_steps=warmup,
        ramp_steps=round(method.unsupervised.epochs * steps) if method.unsupervised is not None else 0,
        total_steps=warmup + method.epochs * steps,
        micro_batches=micro_batches,
    )


def pass_steps(images: int, batch: int, *, groups: int = 1, drop_last: bool = True) -> int:
    """Returns the steps of one pass over some images.

    Args:
        images: How many images.
        batch: Images in a step.
        groups: GPUs of the published training, which fill up their shares of the images by repeating some.
        drop_last: Drop the last batch if it is incomplete.
    """
    if not drop_last:
        return math.ceil(images / batch)
    return math.ceil(images / groups) // (batch // groups)


def drops_last(config: Config, micro_batches: int) -> bool:
    """Returns whether the last, incomplete batch of a pass over the images is dropped."""
    method = config.method
    return method.drop_last if method.drop_last is not None else max(micro_batches, method.groups) > 1


def learning_rate(config: Config, plan: Plan, step: int) -> float:
    """Returns the learning rate of a step, counted from the start of the warm-up, in which it is constant."""
    if step < plan.warmup_steps:
        return config.learning_rate
    done, total = step - plan.warmup_steps, plan.total_steps - plan.warmup_steps
    return config.learning_rate * poly(done, total, power=config.optim.power)


def unsup_weight(config: Config, plan: Plan, step: int) -> float:
    """Returns the weight of the unsupervised loss in a step, counted from the start of the warm-up; 0 in it."""
    weight = config.method.unsupervised
    if weight is None or step < plan.warmup_steps:
        return 0.0
    return weight.final * ramp_up(step - plan.warmup_steps, plan.ramp_steps, kind=weight.ramp)


def _check_shares(config: Config, micro_batches: int, devices: int) -> None:
    method, what = config.method, f"{devices} devices x --accumulate {config.system.accumulate}"
    groups, per_gpu = method.groups, method.images_per_gpu
    # Groups and micro-batches cut a batch at places of their own, and CutMix stays within both.
    cuts = math.lcm(micro_batches, groups)
    # The control has the steps of the other methods, and so their batch of unlabelled images too.
    for name in ("batch_labeled", "batch_unlabeled"):
        flag, size = flag_of(name), getattr(method, name)
        if size % micro_batches:
            fix = f"choose a multiple of {micro_batches}"
            raise UserError(f"{flag} that {what} can share equally", f"{size}", fix)
        if size % cuts:
            got = f"{size}, {micro_batches} micro-batches and {groups} groups (--images-per-gpu {per_gpu})"
            fix = f"choose a multiple of {cuts}, or another --images-per-gpu"
            raise UserError(f"{flag} that micro-batches and groups can share equally", got, fix)
    if per_gpu is not None and method.batch_labeled > per_gpu and method.batch_labeled % per_gpu:
        fix = "choose a multiple of it, or another --images-per-gpu"
        raise UserError(f"--batch-labeled a multiple of --images-per-gpu {per_gpu}", f"{method.batch_labeled}", fix)
    if method.drop_last is False and max(micro_batches, groups) > 1:
        got = f"{what}, {groups} groups"
        fix = "drop it, or use one device, --accumulate 1 and no more labelled images than --images-per-gpu"
        raise UserError("one micro-batch and one group with an incomplete last batch", got, fix)
