"""A step of PS-MT against a plain one of the same mathematics, in float32, channels last and bf16, and its parts.

    python -m benchmarks.step                                    # ResNet-50, crop 128, 2 + 2 images
    python -m benchmarks.step --crop 512 --batch 8 --device cuda # 8 + 8 images on a GPU

The plain step (`step_reference.py`) is what one writes without this project: three networks, one after the other, the
published order of things, no micro-batches, no switches.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.pairs import Section, in_turn, spread
from benchmarks.step_reference import PlainStep
from psmt_viz.data.loader import Batch
from psmt_viz.data.scenes import Scenes
from psmt_viz.presets import configure
from psmt_viz.train.engine import Engine
from psmt_viz.train.methods import psmt
from psmt_viz.train.trainer import Trainer

FORMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "fp32": {"channels_last": False},
        "channels_last": {"channels_last": True},
        "bf16": {"channels_last": True, "precision": "bf16"},
    }
)
"""Name -> settings of the run."""
PEAK = MappingProxyType({"H200": 989e12, "H100": 989e12, "A100": 312e12})
"""Part of a GPU's name -> dense bf16 operations a second, by its maker."""


@dataclass(kw_only=True)
class Sizes:
    """What a step works on."""

    crop: int = 128
    batch: int = 2
    """Labelled images, and as many unlabelled."""
    backbone: str = "resnet50s"
    device: str = "cpu"
    repeats: int = 5

    @property
    def words(self) -> str:
        """The sizes as text."""
        return f"{self.backbone}, crop {self.crop}, {self.batch} + {self.batch} images, on {self.device}"


def trainer_of(sizes: Sizes, **form: Any) -> Trainer:
    """Makes the trainer of the preset voc with other sizes, on images of noise."""
    small = {"crop": sizes.crop, "batch_labeled": sizes.batch, "batch_unlabeled": sizes.batch}
    alone = {"images_per_gpu": sizes.batch, "warmup_epochs": 0, "steps_per_epoch": 1000, "pretrained": False}
    # Every pixel counts, as it does once the teachers are sure.
    values = {"data": "scenes", "backbone": sizes.backbone, "confidence": 0.0, **small, **alone, **form}
    config = configure("voc", {**values, "split": "1_8"})
    return Trainer(config, Scenes(train=16, val=4, size=64), engine=Engine(sizes.device, system=config.system))


def batches_of(sizes: Sizes, classes: int) -> dict[str, Batch]:
    """Draws images and labels on the host, as a loader hands them over."""
    source = torch.Generator().manual_seed(0)
    side = (sizes.batch, 3, sizes.crop, sizes.crop)

    def drawn() -> Batch:
        views = [torch.randint(256, side, generator=source, dtype=torch.uint8) for _ in range(2)]
        label = torch.randint(classes, side[:1] + side[2:], generator=source, dtype=torch.uint8)
        return Batch(images={"weak": views[0], "strong": views[1]}, label=label)

    return {"labeled": drawn(), "unlabeled": drawn()}


def settle(device: str) -> None:
    """Waits for what a GPU has still to do."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def step_of(trainer: Trainer, batches: Mapping[str, Batch], device: str) -> Callable[[], None]:
    """Returns what takes one step of ours, from images on the host to networks that have moved."""

    def take() -> None:
        trainer.take(0, batches)
        settle(device)

    return take


@dataclass
class Profile:
    """Seconds of the parts of a step."""

    device: str
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _open: list[list[float]] = field(default_factory=list)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measures one part, without the parts inside it."""
        # A CPU is shared with others; a GPU works while the process waits.
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        settle(self.device)
        start = clock()
        self._open.append([0.0])
        yield
        settle(self.device)
        whole = clock() - start
        (inside,) = self._open.pop()
        self.seconds[name].append(whole - inside)
        if self._open:
            self._open[-1][0] += whole

    def around(self, owner: Any, name: str, part: str) -> None:
        """Measures every call of a function of an object or a module as a part."""
        call = getattr(owner, name)

        def measured(*args: Any, **given: Any) -> Any:
            with self.part(part):
                return call(*args, **given)

        setattr(owner, name, measured)


def profile(sizes: Sizes, **form: Any) -> pd.DataFrame:
    """Returns the share of each part of our step; waiting for the device between parts makes the step slower."""
    trainer = trainer_of(sizes, **form)
    batches = batches_of(sizes, len(trainer.networks.classes))
    seen, step = Profile(sizes.device), trainer.method
    for owner, name, part in (
        (step, "target", "targets: teachers, CutMix, pseudo-labels"),
        (step, "searched_noise", "T-VAT's search"),
        (step, "supervised_loss", "losses"),
        (trainer.learners["student"], "backward", "backward"),
        (trainer.learners["student"], "step", "optimiser"),
        (trainer.networks.student, "encode", "student forwards"),
        (trainer.networks.student, "decode", "student forwards"),
    ):
        seen.around(owner, name, part)
    kept = psmt.confident_cross_entropy, psmt.ema_update
    try:
        seen.around(psmt, "confident_cross_entropy", "losses")
        seen.around(psmt, "ema_update", "moving average")
        for index in range(sizes.repeats + 1):
            with seen.part("the rest"):
                with seen.part("images to the device"):
                    here = {name: batch.to(trainer.device) for name, batch in batches.items()}
                step.step(0, here)
            if index == 0:
                seen.seconds.clear()
    finally:
        psmt.confident_cross_entropy, psmt.ema_update = kept
    totals = {part: sum(values) / sizes.repeats for part, values in seen.seconds.items()}
    whole = sum(totals.values())
    rows = [
        {"part": part, "seconds": f"{value:.3g}", "share": f"{100 * value / whole:.1f} %"}
        for part, value in sorted(totals.items(), key=lambda item: -item[1])
    ]
    return pd.DataFrame(rows)


def on_gpu(sizes: Sizes) -> pd.DataFrame:
    """Returns images a second, peak memory and the share of the GPU's bf16 operations, of each form."""
    name = torch.cuda.get_device_name()
    peak = next((value for part, value in PEAK.items() if part in name), None)
    rows = []
    for form, values in FORMS.items():
        trainer = trainer_of(sizes, **values)
        take = step_of(trainer, batches_of(sizes, len(trainer.networks.classes)), sizes.device)
        with FlopCounterMode(display=False) as operations:
            take()
        torch.cuda.reset_peak_memory_stats()
        seconds = []
        for _ in range(sizes.repeats + 3):
            start = time.perf_counter()
            take()
            seconds.append(time.perf_counter() - start)
        rates = [operations.get_total_flops() / each for each in seconds[3:]]
        rows.append(
            {
                "way": form,
                "images/s": spread([2 * sizes.batch / each for each in seconds[3:]]),
                "peak memory, GiB": f"{torch.cuda.max_memory_allocated() / 2**30:.1f}",
                "of the bf16 peak": spread([rate / peak for rate in rates]) if peak else "not known",
            }
        )
    return pd.DataFrame(rows)


def measure(sizes: Sizes | None = None) -> list[Section]:
    """Times the plain step and ours in turn, in each form, and the parts of ours."""
    sizes = sizes or Sizes(device="cuda" if torch.cuda.is_available() else "cpu")
    if sizes.device == "cuda" and sizes == Sizes(device="cuda"):
        sizes = Sizes(crop=512, batch=8, device="cuda")
    ours: dict[str, Callable[[], None]] = {}
    sections = []
    about = f"Seconds of a step: {sizes.words}"
    for form, values in FORMS.items():
        trainer = trainer_of(sizes, **values)
        batches = batches_of(sizes, len(trainer.networks.classes))
        plain = PlainStep(trainer.networks, device=sizes.device, **values)
        ours[form] = step_of(trainer, batches, sizes.device)
        table = in_turn(
            {"plain": partial(_plain, plain, batches, sizes.device), "ours": ours[form]}, repeats=sizes.repeats
        )
        words = f"{about}. *plain*: the same mathematics in plain torch (`step_reference.py`), in the same form."
        sections.append(Section(title=f"Against a plain step, {form}", about=words, table=table))
    table = in_turn(ours, repeats=sizes.repeats)
    sections.append(Section(title="Forms of our step", about=f"{about}.", table=table))
    for form, values in FORMS.items():
        sections.append(Section(title=f"Parts, {form}", about=sizes.words, table=profile(sizes, **values)))
    if sizes.device.startswith("cuda"):
        sections.append(Section(title="On the GPU", about=sizes.words, table=on_gpu(sizes)))
    return sections


def _plain(step: PlainStep, batches: Mapping[str, Batch], device: str) -> None:
    step.take(batches["labeled"], batches["unlabeled"])
    settle(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in vars(Sizes()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    for section in measure(Sizes(**vars(parser.parse_args()))):
        print(f"\n{section.title}\n{section.about}\n{section.table.to_string(index=False)}", flush=True)


if __name__ == "__main__":
    main()
