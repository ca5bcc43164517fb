"""Measures what one PS-MT step needs at crop 512, beside what `psmt-viz train --dry-run` foretells.

Claim:    working through a batch in parts (`--accumulate`) lowers what a step needs, by less than the number of parts,
          because weights, momentum and views remain; the estimate is 0.7 to 0.9 of what the process grows by.
Command:  python benchmarks/step_memory.py
          python benchmarks/step_memory.py --cases lite0-4 lite0-8 --device cuda
Cost:     each case has its own process; half a minute to several minutes each on a CPU, and 7 GiB for lite0-1.
Expected: a row a case, as in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# Heavy imports wait: a child's peak would begin with what its parent holds.

CROP = 512


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and a batch."""

    network: str
    classes: int
    images: int
    """Labelled images in a step, and as many unlabelled ones."""
    parts: int
    preset: str

    def settings(self) -> dict[str, Any]:
        """Returns the flat settings over the preset: one step of warm-up and one of PS-MT."""
        return {
            "data": "noise",
            "classes": (),
            "pretrained": False,
            "crop": CROP,
            "batch_labeled": self.images,
            "batch_unlabeled": self.images,
            "accumulate": self.parts,
            "warmup_steps": 1,
            "steps_per_epoch": 1,
            "epochs": 1,
        }


CASES = {
    **{
        f"lite0-{parts}": Case(network="lite0", classes=7, images=8, parts=parts, preset="voc_mini")
        for parts in (1, 2, 4, 8)
    },
    **{
        f"resnet50s-{parts}": Case(network="resnet50s", classes=21, images=2, parts=parts, preset="voc")
        for parts in (1, 2)
    },
}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one case showed; memory in bytes."""

    base: int
    """Of the process before there is a network; 0 on a GPU, where only tensors count."""
    peak: int
    estimate: int
    seconds: float
    """Of the one step of PS-MT."""


class Noise:
    """A data set of random pixels, each image with its own."""

    name = "noise"

    def __init__(self, classes: int, images: int) -> None:
        self.classes = tuple(f"class{index}" for index in range(classes))
        self._ids = tuple(f"{index}" for index in range(images))

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns the training images; there are none to validate."""
        return self._ids if part == "train" else ()

    def split(self, name: str) -> Any:
        """Returns the first half as labelled, whatever the split is called."""
        from psmt_viz.data.dataset import Split

        half = len(self._ids) // 2
        return Split(self._ids[:half], self._ids[half:])

    def image(self, id: str) -> np.ndarray:
        """Returns (512, 512, 3) uint8."""
        return self._random(id).integers(0, 256, (CROP, CROP, 3)).astype("uint8")

    def label(self, id: str) -> np.ndarray:
        """Returns (512, 512) uint8."""
        return self._random(id).integers(0, len(self.classes), (CROP, CROP)).astype("uint8")

    def fingerprint(self) -> dict[str, Any]:
        """Returns nothing that a run could be told by."""
        return {}

    @staticmethod
    def _random(id: str) -> np.random.Generator:
        import numpy as np

        return np.random.default_rng(int(id))


def measure(case: Case, device: str) -> Figures:
    """Takes a step of warm-up and one of PS-MT, in this process."""
    import torch

    from psmt_viz.presets import configure
    from psmt_viz.train.engine import Engine
    from psmt_viz.train.loop import Trainer
    from psmt_viz.train.memory import estimate_memory

    config = configure(case.preset, case.settings())
    images = case.images // case.parts
    estimate = estimate_memory(config, case.classes, labeled=images, unlabeled=images).total
    gpu = device.startswith("cuda")
    base = 0 if gpu else peak_rss()
    trainer = Trainer(config, Noise(case.classes, 4 * case.images), engine=Engine(device, system=config.system))
    list(trainer.steps(0, 1))
    started = time.perf_counter()
    list(trainer.steps(1, 2))
    if gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() if gpu else peak_rss()
    return Figures(base=base, peak=peak, estimate=estimate, seconds=seconds)


def peak_rss() -> int:
    """Returns the largest resident size of this process so far, in bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Runs the cases one after the other and prints a Markdown table."""
    parser = argparse.ArgumentParser(description="Memory and time of one PS-MT step at crop 512.")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--child", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(asdict(measure(CASES[arguments.child], arguments.device))))
        return
    print("| case | network | images | parts | before, GiB | peak, GiB | step, GiB | estimate, GiB | ratio | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.cases:
        command = [sys.executable, __file__, "--child", name, "--device", arguments.device]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(row(name, CASES[name], Figures(**json.loads(done.stdout))), flush=True)


def row(name: str, case: Case, figures: Figures) -> str:
    """Returns a line of the table."""
    used = figures.peak - figures.base
    sizes = " | ".join(f"{each / 2**30:.2f}" for each in (figures.base, figures.peak, used, figures.estimate))
    images = f"{case.images} + {case.images}"
    ratio = figures.estimate / used
    return f"| {name} | {case.network} | {images} | {case.parts} | {sizes} | {ratio:.2f} | {figures.seconds:.1f} |"


if __name__ == "__main__":
    main()
