"""Which runs the evidence is made of, and the commands that make each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from psmt_viz.cli.training import configured
from psmt_viz.config import PAPER_EPS, Config, Method
from psmt_viz.errors import UserError

ARMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "supervised": {"method": "supervised"},
        "psmt": {},
        "official-code": {"recipe": "official-code"},
        "no-tvat": {"perturbation": "none"},
    }
)
"""What is compared -> its settings beside the preset's; steps, views and batches are the preset's for every arm."""
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "supervised": "supervised",
        "psmt": "PS-MT",
        "official-code": "PS-MT, published code's numbers",
        "no-tvat": "PS-MT without T-VAT",
    }
)
CONTROL, METHOD = "supervised", "psmt"
BOTH = (CONTROL, METHOD)
RATIOS = ("1_16", "1_8", "1_4", "1_2")
ALL = "full"
"""Every training image with its label: what a method for unlabelled ones can hope for at these steps."""
SPLITS = (*RATIOS, ALL)

SEEDS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"scenes": (1, 2, 3), "voc_mini": (1, 2, 3), "camvid": (1, 2), "voc": (1, 2, 3)}
)
"""Preset -> its seeds. Settings of presets and the difficulty of `scenes` were chosen on seeds 0 and 100: left out."""
GRID: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = MappingProxyType(
    {
        "scenes": (("1_8", BOTH), (ALL, BOTH[:1]), *((split, BOTH) for split in ("1_16", "1_4", "1_2"))),
        "camvid": (("1_8", BOTH), (ALL, BOTH[:1])),
        "voc_mini": (
            *(("1_8", BOTH), (ALL, BOTH[:1]), ("1_8", tuple(ARMS)[2:])),
            *((split, BOTH) for split in ("1_16", "1_4", "1_2")),
        ),
        "voc": tuple((split, BOTH) for split in RATIOS),
    }
)
"""Preset -> labelled share and the arms compared on it, in the order in which they are trained."""

LOOKED_AT = (0.0, 0.15, 0.35, 0.65, 1.0)
"""Where in the training after the warm-up perturbations are measured."""
FLIP_IMAGES = 80
"""The first of the validation images, on which perturbations are measured."""


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    preset: str
    split: str
    arm: str
    seed: int
    variant: str = ""
    """A name for other settings than the preset's, alike for every arm."""
    flags: tuple[str, ...] = ()
    """Further flags of its training; other settings than the preset's belong to a variant."""

    @property
    def dataset(self) -> str:
        """What is compared with each other: the preset, with the variant behind."""
        return f"{self.preset} {self.variant}".strip()

    @property
    def name(self) -> str:
        """The name of its folder."""
        parts = (self.preset, self.variant, self.arm, self.split, str(self.seed))
        return "-".join(part for part in parts if part)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings beside the preset's."""
        return {**ARMS[self.arm], "split": self.split, "seed": self.seed}

    def config(self) -> Config:
        """Returns all of its settings; where the images lie is left open.

        Raises:
            UserError: if its flags are wrong.
        """
        return configured(self.train(Path(), self.preset, "cpu")[2:])

    @property
    def perturbed(self) -> bool:
        """Whether perturbations are measured through its training."""
        # Full VOC keeps no weights of epochs: there it would be a terabyte.
        return self.arm == METHOD and self.split == "1_8" and self.preset != "voc"

    def train(self, folder: Path, data: str | None, device: str) -> list[str]:
        """Returns the words of the command that trains it, or goes on with it.

        Args:
            folder: The run folder.
            data: The folder of images; left out for `scenes`.
            device: As `psmt-viz train --device`.
        """
        words = ["psmt-viz", "train", "--preset", self.preset, *_flag("data", data)]
        for name, value in self.settings.items():
            words += [f"--{name}", str(value)]
        if self.perturbed:
            words += ["--keep-last", "1000"]  # epochs; all of them
        return [*words, *self.flags, "--device", device, "--out", str(folder), "--resume"]

    def score_labeled(self, folder: Path, data: str | None, device: str) -> list[str]:
        """Returns the words of the command that scores a finished run on the images whose labels it learned."""
        words = ["psmt-viz", "evaluate", str(folder), "--part", "labeled", *_flag("data", data)]
        return [*words, "--device", device, "--out", str(labeled_folder(folder))]

    def perturb(self, folder: Path, epoch: int, data: str | None, device: str) -> list[str]:
        """Returns the words of the command that measures perturbations on the weights of an epoch."""
        words = [
            "psmt-viz",
            "perturb",
            str(folder),
            "--weights",
            f"epoch-{epoch:04d}",
            "--kinds",
            "vat",
            "tvat",
            "random",
        ]
        words += ["--eps", f"{PAPER_EPS:g}", "--images", str(FLIP_IMAGES), *_flag("data", data)]
        return [*words, "--device", device, "--out", str(flips_folder(folder, epoch))]


def _flag(name: str, value: str | None) -> list[str]:
    return [f"--{name}", value] if value else []


def flip_epochs(method: Method) -> list[int]:
    """Returns the epochs after which perturbations are measured, from the end of the warm-up to the last.

    Raises:
        UserError: if the lengths are not settled before the data are seen.
    """
    if method.warmup_steps is None or method.steps_per_epoch is None:
        got = f"--warmup-steps {method.warmup_steps}, --steps-per-epoch {method.steps_per_epoch}"
        fix = "give both in steps"
        raise UserError("settled lengths of a run whose perturbations are measured through training", got, fix)
    warmup = math.ceil(method.warmup_steps / method.steps_per_epoch)
    return sorted({warmup + round(share * method.epochs) for share in LOOKED_AT})


def labeled_folder(run: Path) -> Path:
    """Returns where a run's scores on its labelled images lie."""
    return run / "labeled"


def flips_folder(run: Path, epoch: int) -> Path:
    """Returns where a run's perturbations of an epoch lie."""
    return run / f"flips-{epoch:04d}"


def cells(
    preset: str,
    *,
    splits: Sequence[str] = (),
    arms: Sequence[str] = (),
    seeds: Sequence[int] = (),
    variant: str = "",
    flags: Sequence[str] = (),
) -> Iterator[Cell]:
    """Yields the runs of a preset, all arms of a seed together; whatever is left out is all of it."""
    for split, compared in GRID[preset]:
        if splits and split not in splits:
            continue
        for seed in seeds or SEEDS[preset]:
            chosen = [arm for arm in compared if not arms or arm in arms]
            yield from (Cell(preset, split, arm, seed, variant, tuple(flags)) for arm in chosen)
