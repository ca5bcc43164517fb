"""Which runs the evidence is made of, and the commands that make each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from psmt_viz.cli.training import configured
from psmt_viz.config import Config, Method
from psmt_viz.errors import UserError
from psmt_viz.kinds import PAPER_EPS

ARMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "supervised": {"method": "supervised"},
        "psmt": {},
        "official-code": {"recipe": "official-code"},
        "no-tvat": {"perturbation": "none"},
    }
)
"""What is compared -> its settings on top of the preset's; all arms share the preset's steps, views and batches."""
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
"""Every training image labelled: an upper bound for methods that use unlabelled images, at equal steps."""
SPLITS = (*RATIOS, ALL)

SEEDS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"scenes": (1, 2, 3), "voc_mini": (1, 2, 3), "camvid": (1, 2), "voc": (1, 2, 3)}
)
"""Preset -> its seeds. Seeds 0 and 100 are not used: presets and the difficulty of `scenes` were tuned on them."""
_OTHER_RATIOS = (("1_16", BOTH), ("1_4", BOTH), ("1_2", BOTH))
GRID: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = MappingProxyType(
    {
        "scenes": (("1_8", BOTH), (ALL, (CONTROL,)), *_OTHER_RATIOS),
        "camvid": (("1_8", BOTH), (ALL, (CONTROL,))),
        "voc_mini": (("1_8", BOTH), (ALL, (CONTROL,)), ("1_8", ("official-code", "no-tvat")), *_OTHER_RATIOS),
        "voc": (("1_16", BOTH), ("1_8", BOTH), ("1_4", BOTH), ("1_2", BOTH)),
    }
)
"""Preset -> labelled share and the arms compared on it, in the order in which they are trained."""

LOOKED_AT = (0.0, 0.15, 0.35, 0.65, 1.0)
"""Fractions of the training after the warm-up at which perturbations are measured."""
FLIP_IMAGES = 80
"""Perturbations are measured on this many validation images, the first."""


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    preset: str
    split: str
    arm: str
    seed: int
    variant: str = ""
    """A name for other settings than the preset's, the same for every arm."""
    flags: tuple[str, ...] = ()
    """Further flags of its training; those that change the preset's settings need a variant."""

    @property
    def dataset(self) -> str:
        """The preset and the variant; runs that share it are compared."""
        return f"{self.preset} {self.variant}".strip()

    @property
    def name(self) -> str:
        """The name of its folder."""
        parts = (self.preset, self.variant, self.arm, self.split, str(self.seed))
        return "-".join(part for part in parts if part)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings on top of the preset's."""
        return {**ARMS[self.arm], "split": self.split, "seed": self.seed}

    def config(self) -> Config:
        """Returns all of its settings; the path of the images is left open.

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
        """Returns the words of the command that trains it, or resumes its training.

        Args:
            folder: The run folder.
            data: The folder of images; None for `scenes`.
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
        words = ["psmt-viz", "perturb", str(folder), "--weights", f"epoch-{epoch:04d}"]
        words += ["--kinds", "vat", "tvat", "random", "--eps", f"{PAPER_EPS:g}", "--images", str(FLIP_IMAGES)]
        words += _flag("data", data)
        return [*words, "--device", device, "--out", str(flips_folder(folder, epoch))]


def _flag(name: str, value: str | None) -> list[str]:
    return [f"--{name}", value] if value else []


def flip_epochs(method: Method) -> list[int]:
    """Returns the epochs after which perturbations are measured, from the end of the warm-up to the last.

    Raises:
        UserError: if the lengths depend on the data set.
    """
    if method.warmup_steps is None or method.steps_per_epoch is None:
        got = f"--warmup-steps {method.warmup_steps}, --steps-per-epoch {method.steps_per_epoch}"
        wanted = "warm-up and epochs in steps for a run whose perturbations are measured through training"
        raise UserError(wanted, got, "give both in steps")
    warmup = math.ceil(method.warmup_steps / method.steps_per_epoch)
    return sorted({warmup + round(share * method.epochs) for share in LOOKED_AT})


def labeled_folder(run: Path) -> Path:
    """Returns the folder of a run's scores on its labelled images."""
    return run / "labeled"


def flips_folder(run: Path, epoch: int) -> Path:
    """Returns the folder of a run's measured perturbations after an epoch."""
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
    """Yields the runs of a preset, all arms of a seed together; an empty selection means all."""
    for split, compared in GRID[preset]:
        if splits and split not in splits:
            continue
        for seed in seeds or SEEDS[preset]:
            chosen = [arm for arm in compared if not arms or arm in arms]
            yield from (Cell(preset, split, arm, seed, variant, tuple(flags)) for arm in chosen)
