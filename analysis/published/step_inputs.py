"""Batches, boxes and starts of the noise of a step of training, rebuilt from a file's rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from psmt_viz.data.dataset import Split
from psmt_viz.data.loader import Batch
from psmt_viz.methods.settings import CutMix
from psmt_viz.metrics import IGNORE
from psmt_viz.train.cutmix import Box, Mix
from psmt_viz.train.random_draws import RandomDraws
from published.document import Node
from published.inputs import generator, picture, sha256, spread
from published.report import Report

_PADDING = (124, 116, 104)
_BRANCHES = ("labeled", "unlabeled")


@dataclass(frozen=True)
class StepFile:
    """The numbers that a file's rule states."""

    document: Node

    @property
    def rule(self) -> Node:
        """The rule."""
        return self.document["rule"]

    @cached_property
    def crop(self) -> int:
        """Side of the images, a multiple of 16."""
        crop = self.rule["crop"].integer(32, 2048)
        if crop % 16:
            raise self.rule["crop"].refuse("a multiple of 16")
        return crop

    @cached_property
    def images(self) -> int:
        """Labelled images, and as many unlabelled ones."""
        match = self.rule["batch"].find(r"(\d+) labelled \+ (\d+) unlabelled", "2 labelled + 2 unlabelled")
        if match[1] != match[2] or int(match[1]) < 1:
            raise self.rule["batch"].refuse("of as many labelled as unlabelled images")
        return int(match[1])

    @cached_property
    def classes(self) -> int:
        """Number of classes."""
        return self.rule["classes"].integer(2, 255)

    def seed(self, k: int) -> int:
        """Returns the seed that those of step k count from."""
        words = self.rule["inputs_of_step_k"]
        match = words.find(r"s = base ?\+ ?(\d+) ?\+ ?(\d+) ?\* ?k", "s = base + number + number*k")
        told = words.find(r"with base (\d+)", "the base")
        return int(told[1]) + int(match[1]) + int(match[2]) * k

    def lasting(self, what: str) -> int:
        """Returns how many rows or columns at the end are void."""
        return int(self.rule["inputs_of_step_k"].find(rf"last (\d+) {what}", f"the number of last {what}")[1])


@dataclass(frozen=True)
class StepInputs:
    """All inputs of step k."""

    file: StepFile
    k: int

    @cached_property
    def labeled(self) -> Batch:
        """The labelled images; their weak view is not used."""
        file, seed = self.file, self.file.seed(self.k)
        blocks = (file.images, file.crop // 16, file.crop // 16)
        label = spread(torch.randint(0, file.classes, blocks, generator=generator(seed + 3)), 16)
        label[:, -file.lasting("rows") :] = IGNORE
        weak, strong = (picture(seed + number, file.images, file.crop) for number in (1, 2))
        return Batch(images={"weak": weak, "strong": strong}, label=label.to(torch.uint8))

    @cached_property
    def unlabeled(self) -> Batch:
        """The unlabelled images, with columns that stand for padding."""
        file = self.file
        weak = picture(file.seed(self.k) + 4, file.images, file.crop)
        strong = (weak.int() * 4 // 5 + 20).to(torch.uint8)
        label, columns = torch.zeros((file.images, file.crop, file.crop), dtype=torch.uint8), file.lasting("columns")
        for view in (weak, strong):
            view[..., -columns:] = torch.tensor(_PADDING, dtype=torch.uint8)[:, None, None]
        label[..., -columns:] = IGNORE
        return Batch(images={"weak": weak, "strong": strong}, label=label)

    @cached_property
    def uniform(self) -> dict[str, Tensor]:
        """Branch -> numbers in [0, 1), float32, from which the search's start is made."""
        file, seed = self.file, self.file.seed(self.k)
        match = file.rule["inputs_of_step_k"].find(r"torch\.rand\(\d+, ?(\d+), ?C//4", "the channels of z")
        shape = (file.images, int(match[1]), file.crop // 4, file.crop // 4)
        return {
            branch: torch.rand(shape, generator=generator(seed + number))
            for number, branch in enumerate(_BRANCHES, start=5)
        }

    @property
    def batches(self) -> dict[str, Batch]:
        """What the trainer takes."""
        return {"labeled": self.labeled, "unlabeled": self.unlabeled}

    def boxes(self, kind: str) -> Tensor:
        """Returns the stated corners (B, 4)."""
        stated = self.file.document["boxes"][f"step{self.k}"][kind].elements()
        if len(stated) != self.file.images:
            raise self.file.document["boxes"].refuse(f"of {self.file.images} images")
        return torch.tensor([box.integers(0, self.file.crop, 4) for box in stated])

    def drawn_boxes(self) -> Tensor:
        """Returns the corners (B, 4) that the rule's words lead to, one box for each image."""
        crop, source = self.file.crop, generator(self.file.seed(self.k) + 7)
        height, width = torch.randint(crop // 4, crop // 2 + 1, (2,), generator=source).tolist()
        corners = []
        for _ in range(self.file.images):
            top, left = torch.randint(0, crop - crop // 4, (2,), generator=source).tolist()
            corners.append([top, left, min(crop, top + height), min(crop, left + width)])
        return torch.tensor(corners)

    def check(self, report: Report) -> bool:
        """Compares checksums and boxes with the file's; returns whether all are the same."""
        tensors = {
            "labelled_weak_uint8": self.labeled.weak,
            "labelled_strong_uint8": self.labeled.strong,
            "labels_as_uint8": self.labeled.label,
            "unlabelled_weak_uint8": self.unlabeled.weak,
            "unlabelled_strong_uint8": self.unlabeled.strong,
            "noise_labelled_float32": self.uniform["labeled"],
            "noise_unlabelled_float32": self.uniform["unlabeled"],
        }
        sums = self.file.document["inputs_sha256"][f"step{self.k}"]
        wrong = [name for name, values in tensors.items() if sha256(values) != sums[name].text()]
        drawn = self.drawn_boxes()
        kinds = {"box_per_image": drawn, "one_box": drawn[:1].expand(len(drawn), 4)}
        stated = self.file.document["boxes"][f"step{self.k}"]
        there = {kind: values for kind, values in kinds.items() if stated.get(kind) is not None}
        wrong += [kind for kind, values in there.items() if not torch.equal(self.boxes(kind), values)]
        return report.inputs(f"step {self.k}", wrong, len(tensors) + len(there))


class StatedDraws(RandomDraws):
    """The boxes and the starts of the noise that a file states, in place of drawn ones.

    Args:
        kind: `one_box` or `box_per_image`.
        partner: The image from which each receives its box.
    """

    def __init__(self, kind: str, partner: Tensor) -> None:
        self._kind, self._partner = kind, partner
        self.inputs: dict[int, StepInputs] = {}
        """Step of the trainer -> its inputs."""

    def mix(self, kind: CutMix, step: int, images: range, size: torch.Size, device: torch.device) -> Mix | None:
        """Returns the stated boxes of some images."""
        own = slice(images.start, images.stop)
        corners = self.inputs[step].boxes(self._kind)[own]
        partner = self._partner[own] - images.start
        return Mix(boxes=(Box(corners=corners.to(device), partner=partner.to(device)),))

    def start(self, step: int, branch: str, images: range, z: Tensor, *, uniform: bool) -> Tensor:
        """Returns the stated start of some images' search."""
        return self.inputs[step].uniform[branch][images.start : images.stop].to(z) - 0.5


@dataclass(frozen=True)
class NoImages:
    """A data set that only says how many images there are; the steps bring their own."""

    classes: tuple[str, ...]
    name = "stated steps"

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns the ids of the training images."""
        return tuple(str(index) for index in range(16)) if part == "train" else ()

    def split(self, name: str) -> Split:
        """Returns half of the images as labelled."""
        ids = self.ids("train")
        return Split(ids[:8], ids[8:])

    def image(self, id: str) -> Any:
        """Has none."""
        raise NotImplementedError

    def label(self, id: str) -> Any:
        """Has none."""
        raise NotImplementedError

    def fingerprint(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}
