"""Measures the memory of one PS-MT step at crop 512, beside the estimate of `psmt-viz train --dry-run`.

Claim:    gradient accumulation (`--accumulate`) lowers the memory of a step, by less than the number of micro-batches,
          because weights, momentum and views remain; the estimate is 0.7 to 0.9 of what the process grows by.
Command:  python benchmarks/step_memory.py
          python benchmarks/step_memory.py --cases lite0-4 lite0-8 --device cuda
Cost:     each case has its own process; half a minute to several minutes each on a CPU, and 7 GiB for lite0-1.
Expected: one row per case, as in benchmarks/README.md.
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

# Heavy imports are inside functions: a child's peak memory starts from that of its parent.

CROP = 512


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and a batch."""

    network: str
    classes: int
    images: int
    """Labelled images in a step, and as many unlabelled ones."""
    micro_batches: int
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
            "accumulate": self.micro_batches,
            "warmup_steps": 1,
            "steps_per_epoch": 1,
            "epochs": 1,
        }


CASES = {
    **{
        f"lite0-{count}": Case(network="lite0", classes=7, images=8, micro_batches=count, preset="voc_mini")
        for count in (1, 2, 4, 8)
    },
    **{
        f"resnet50s-{count}": Case(network="resnet50s", classes=21, images=2, micro_batches=count, preset="voc")
        for count in (1, 2)
    },
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements of one case; memory in bytes."""

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
        """Returns nothing: no run is kept."""
        return {}

    @staticmethod
    def _random(id: str) -> np.random.Generator:
        import numpy as np

        return np.random.default_rng(int(id))


def measure(case: Case, device: str) -> Measured:
    """Takes a step of warm-up and one of PS-MT, in this process."""
    import torch

    from psmt_viz.presets import configure
    from psmt_viz.train.engine import Engine
    from psmt_viz.train.loop import Trainer
    from psmt_viz.train.memory import estimate_memory

    config = configure(case.preset, case.settings())
    images = case.images // case.micro_batches
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
    return Measured(base=base, peak=peak, estimate=estimate, seconds=seconds)


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
    memory = ("before, GiB", "peak, GiB", "step, GiB", "estimate, GiB")
    head = ("case", "network", "images", "micro-batches", *memory, "ratio", "seconds")
    print_row(*head)
    print_row(*("---" for _ in head))
    for name in arguments.cases:
        command = [sys.executable, __file__, "--child", name, "--device", arguments.device]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print_row(*cells(name, CASES[name], Measured(**json.loads(done.stdout))))


def cells(name: str, case: Case, found: Measured) -> list[str]:
    """Returns one row of the table."""
    used = found.peak - found.base
    sizes = [f"{each / 2**30:.2f}" for each in (found.base, found.peak, used, found.estimate)]
    images = f"{case.images} + {case.images}"
    ratio, seconds = f"{found.estimate / used:.2f}", f"{found.seconds:.1f}"
    return [name, case.network, images, str(case.micro_batches), *sizes, ratio, seconds]


def print_row(*row: str) -> None:
    """Prints a row of a Markdown table."""
    print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
