"""A step of training by the product's own trainer, with a record of what the files state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor

from psmt_viz.config import Config
from psmt_viz.data.loader import Batch
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import frozen
from psmt_viz.perturb.objectives import kl_of_logits
from psmt_viz.presets import configure
from psmt_viz.train.engine import Engine
from psmt_viz.train.method import StepLog
from psmt_viz.train.methods.psmt import PSMT as Steps
from psmt_viz.train.methods.psmt import TeachersTarget
from psmt_viz.train.micro_batches import MicroBatch
from psmt_viz.train.trainer import Trainer
from published.document import Node
from published.step_inputs import NoImages, StatedDraws, StepFile, StepInputs

Network = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What tells a run from the published one."""

    dtype: torch.dtype
    epoch: int
    """1-based."""
    xi: float
    noise: bool
    boxes: str
    """`one_box` or `box_per_image`."""

    @classmethod
    def of(cls, file: StepFile, run: Node, name: str) -> Variant:
        """Reads the words on a run, which say what differs from the published one."""
        match = re.fullmatch(r"(.+)_fp(32|64)", name)
        if match is None:
            raise run.refuse("under a name that ends with _fp32 or _fp64")
        text = file.rule["variants"][match[1]].text()
        epoch = re.search(r"epoch (\d+)", text) or file.rule["what"].find(r"epoch (\d+) of", "the epoch")
        pattern = r"xi\s*=?\s*(\d[\d.]*(?:e[+-]?\d+)?)"
        xi = re.search(pattern, text) or file.rule["variants"]["published"].find(pattern, "xi")
        off = match[1] == "noise_off" or re.search(r"\br = 0\b", text) is not None
        return cls(
            dtype=torch.float64 if match[2] == "64" else torch.float32,
            epoch=int(epoch[1]),
            xi=float(xi[1]),
            noise=not off,
            boxes="box_per_image" if "box_per_image" in (match[1] + text) else "one_box",
        )


@dataclass(kw_only=True)
class Noise:
    """What the noise of one pass is and does."""

    branch: str
    norm: list[float]
    z_norm: list[float]
    kl: list[float]
    flips: list[int]
    first: list[float]
    size: int
    """Numbers in one image's noise."""


@dataclass(kw_only=True)
class Recorded:
    """What a step leaves behind beside its networks."""

    noise: list[Noise] = field(default_factory=list)
    targets: list[TeachersTarget] = field(default_factory=list)


class RecordingSteps(Steps):
    """The method's own steps, which also remember their noise and their targets."""

    record = Recorded()

    def step(self, step: int, batches: Mapping[str, Batch]) -> StepLog:
        """Takes one step and begins a new record."""
        self.record = Recorded()
        return super().step(step, batches)

    def searched_noise(self, step: int, branch: str, images: MicroBatch, z: Tensor) -> Tensor:
        """Returns the noise and measures it."""
        delta, size = super().searched_noise(step, branch, images, z), images.label.shape[-2:]
        with torch.no_grad(), frozen(self.networks):
            clean, moved = (self.networks.decode("ensemble", features, size) for features in (z, z + delta))
            flips = (clean.argmax(dim=1) != moved.argmax(dim=1)).flatten(1).sum(dim=1)
            found = Noise(
                branch=branch,
                norm=_norms(delta),
                z_norm=_norms(z),
                kl=kl_of_logits(clean, moved).tolist(),
                flips=flips.tolist(),
                first=delta.flatten()[:5].tolist(),
                size=delta[0].numel(),
            )
        self.record.noise.append(found)
        return delta

    def target(self, step: int, unlabeled: MicroBatch) -> TeachersTarget:
        """Returns the target and remembers it."""
        target = super().target(step, unlabeled)
        self.record.targets.append(target)
        return target


def _norms(values: Tensor) -> list[float]:
    return values.detach().double().flatten(1).norm(dim=1).tolist()


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One step that was taken."""

    k: int
    log: StepLog
    record: Recorded
    networks: Networks
    """The networks after the step; the student's parameters hold their gradients."""


def settings(file: StepFile, variant: Variant, depth: int) -> Config:
    """Returns the preset `voc` by the recipe `official-code`, with the sizes and lengths that a file states."""
    words = file.rule["what"]
    epochs = int(words.find(r"epoch \d+ of (\d+)", "the number of epochs")[1])
    steps = int(words.find(r"epoch of (\d+) iterations", "the steps of an epoch")[1])
    values: dict[str, Any] = {
        "data": "none",
        "backbone": f"resnet{depth}s",
        "pretrained": False,
        "channels_last": False,  # theirs are not, and float32 rounds otherwise
        "crop": file.crop,
        "batch_labeled": file.images,
        "batch_unlabeled": file.images,
        "images_per_gpu": file.images,
        "epochs": epochs,
        "steps_per_epoch": steps,
        "lr": file.rule["lr0"].number(),
        "lr_batch": None,
        "xi": variant.xi,
    }
    if not variant.noise:
        values["perturbation"] = "none"
    # What the words say again of the preset's own numbers.
    said = " ".join(each.text() for each in file.rule["step_in_words"].elements())
    for name, pattern in (("unsup_weight", r"Weight: ([\d.]+) \* ramp"), ("ramp_epochs", r"R = (\d+)\*\d+")):
        if match := re.search(pattern, said):
            values[name] = float(match[1])
    return configure("voc", values, recipe="official-code")


def trainer_of(
    file: StepFile, variant: Variant, *, depth: int, weights: Mapping[str, Network]
) -> tuple[Trainer, StatedDraws]:
    """Returns a trainer with given weights, whose steps are recorded, and its random draws.

    Args:
        file: The stated numbers.
        variant: What is special.
        depth: Of the ResNet.
        weights: Role -> weights at the start.
    """
    config = settings(file, variant, depth)
    partner = torch.tensor(file.document["partner"].integers(0, file.images - 1, file.images))
    precision: Any = "fp64" if variant.dtype == torch.float64 else "fp32"
    draws = StatedDraws(variant.boxes, partner)
    trainer = Trainer(
        config,
        NoImages(tuple(f"class_{index}" for index in range(file.classes))),
        engine=Engine(system=config.system, precision=precision),
        draws=draws,
        method=RecordingSteps,
    )
    for role, network in trainer.networks.by_role().items():
        network.load_state_dict(weights[role])
    return trainer, draws


def taken_steps(
    trainer: Trainer, draws: StatedDraws, variant: Variant, inputs: Mapping[int, StepInputs]
) -> Iterator[Taken]:
    """Takes steps of an epoch, one after the other, and yields each.

    Args:
        trainer: Takes them.
        draws: Its random draws.
        variant: Knows the epoch.
        inputs: Iteration of the epoch -> its inputs.
    """
    first = trainer.plan.warmup_steps + (variant.epoch - 1) * trainer.plan.steps_per_epoch
    for k in sorted(inputs):
        draws.inputs[first + k] = inputs[k]
        log = trainer.take(first + k, inputs[k].batches)
        yield Taken(k=k, log=log, record=cast(RecordingSteps, trainer.method).record, networks=trainer.networks)
