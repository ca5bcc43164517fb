"""The same steps in one process or several, each of which saves what it saw as rank<N>.pt.

Run with a folder and a number of processes, it trains in that many; its first process starts the others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from psmt_viz.data.scenes import Scenes
from psmt_viz.presets import configure
from psmt_viz.train.engine import Engine
from psmt_viz.train.trainer import Trainer
from tests.train.by_hand import TINY, fix_statistics, sharpen

BATCHES = {"batch_labeled": 4, "batch_unlabeled": 4, "long_side": (30, 46), "confidence": 0.6, "ramp_epochs": 0}
WAYS: dict[str, dict[str, Any]] = {
    # One pass over 13 unlabelled images is 3 steps and leaves one out.
    "method": {"warmup_epochs": 1, "perturbation": "none", "steps_per_epoch": None},
    "published": {
        **{"warmup_epochs": 0, "perturbation": "none", "pseudo_labels": "train", "count_padding": True},
        **{"images_per_gpu": 1, "loss_mean": "gpu"},
    },
    "fixed statistics": {"warmup_epochs": 0, "perturbation": "none", "cutmix": "none"},
    "noise": {"warmup_epochs": 0, "cutmix": "none"},
}
"""Ways to train; the first has a warm-up, whose first step and whose end are looked at."""


class Watched(Scenes):
    """Remembers which images were read."""

    def __init__(self) -> None:
        super().__init__(train=18, val=2, size=64)
        self.read: list[str] = []

    def image(self, id: str) -> Any:
        self.read.append(id)
        return super().image(id)


def taken(way: str, *, devices: int, accumulate: int) -> dict[str, Any]:
    """Takes the first step after the warm-up, if there is one after its first, and tells all about it."""
    data = Watched()
    config = configure("scenes", {**TINY, **BATCHES, **WAYS[way], "accumulate": accumulate})
    engine = Engine("cpu", devices=devices, system=config.system)
    trainer = Trainer(config, data, engine=engine)
    sharpen(trainer)
    if way == "fixed statistics":
        fix_statistics(trainer)
    told: dict[str, Any] = {"rank": engine.rank, "main": engine.is_main_process, "world_size": engine.world_size}
    warmup = trainer.plan.warmup_steps
    if warmup:
        told["warm-up"] = _seen(trainer, data, 0)
    told["step"] = _seen(trainer, data, warmup)
    steps = range(warmup, warmup + 2 * trainer.plan.steps_per_epoch)
    told["epochs"] = [trainer.loaders["unlabeled"].ids(step) for step in steps]
    told["any"] = [engine.any(engine.rank == asked) for asked in range(-1, devices)]
    told["broadcast"] = engine.broadcast(("from", engine.rank))
    return told


def _seen(trainer: Trainer, data: Watched, step: int) -> dict[str, Any]:
    data.read.clear()
    (log,) = trainer.steps(step, step + 1)
    return {
        "read": list(data.read),
        "gradients": {
            f"{role}.{name}": parameter.grad.clone()
            for role, network in trainer.networks.by_role().items()
            for name, parameter in network.named_parameters()
            if parameter.grad is not None
        },
        "networks": {name: values.clone() for name, values in trainer.networks.state_dict().items()},
        "measured": {name: value.clone() for name, value in log.measured.items()},
    }


def main(folder: Path, devices: int) -> None:
    """Takes the steps of every way and saves what this process saw of them."""
    torch.set_num_threads(1)
    told = {way: taken(way, devices=devices, accumulate=1) for way in WAYS}
    torch.save(told, folder / f"rank{told['method']['rank']}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
