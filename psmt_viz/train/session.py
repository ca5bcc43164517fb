"""A run from its first step to its last, with what it leaves on disk."""

from __future__ import annotations

import hashlib
import math
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from psmt_viz.config import Config
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.errors import UserError
from psmt_viz.probes.evaluate import evaluate
from psmt_viz.progress import progress
from psmt_viz.results import ROLES, Curves, Evaluation, TrainingBatch, write_csv
from psmt_viz.runs import Run, versions
from psmt_viz.train.checkpoint import load_state, save_state
from psmt_viz.train.loop import StepLog, Trainer


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What is known after an epoch; a callback draws it."""

    run: Run
    curves: Curves
    evaluation: Evaluation | None
    """The validation, in epochs that had one."""
    batch: Callable[[], TrainingBatch]
    """Looks at the epoch's first step as the networks see it now."""
    finished: bool


OnEpoch = Callable[[EpochReport], None]


def train(
    config: Config,
    data: SegmentationData,
    folder: Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
) -> Run:
    """Trains a run and fills its folder: config, weights, metrics, timing and a checkpoint after every epoch.

    Args:
        config: All settings.
        data: The data set that `config.data` names.
        folder: The run folder; it exists.
        device: A torch device.
        resume: Go on from the folder's last checkpoint, if there is one; without, the folder must hold no run.
        on_epoch: Called after each epoch.

    Returns:
        The finished run.

    Raises:
        UserError: if the folder holds another run, or the loss stops being finite.
    """
    trainer = Trainer(config, data, device=device)
    run = Run(
        folder=folder,
        config=config,
        classes=data.classes,
        plan=trainer.plan.as_dict(),
        data_fingerprint=data.fingerprint() | {"split_sha256": _split_hash(trainer.split)},
        versions=versions(),
    )
    state = _begin(run, resume=resume)
    plan, every = trainer.plan, config.system.val_every
    epochs = plan.total_steps // plan.steps_per_epoch
    if state is not None and state["epoch"] == epochs:
        print(f"{folder} is finished; nothing to do", file=sys.stderr)
        return run
    if config.method.method == "psmt" and config.method.unsup_weight == 0:
        warnings.warn("--unsup-weight is 0, so the unlabelled images teach nothing", stacklevel=2)
    history = _History(run, trainer, state)
    with progress("train", plan.total_steps, done=history.epoch * plan.steps_per_epoch) as advance:
        for epoch in range(history.epoch, epochs):
            first, start = epoch * plan.steps_per_epoch, time.perf_counter()
            logs = []
            for log in trainer.steps(first, first + plan.steps_per_epoch):
                logs.append(log)
                advance(history.words)
            seconds = time.perf_counter() - start
            finished = epoch + 1 == epochs
            evaluation = None
            if finished or (epoch + 1) % every == 0:
                evaluation = evaluate(trainer.bundle, data, device=device, parameters=run.facts(data.name))
            history.add(logs, evaluation, seconds, finished=finished)
            if on_epoch is not None:
                report = EpochReport(
                    run=run,
                    curves=run.curves(),
                    evaluation=evaluation,
                    batch=partial(trainer.picture, first),
                    finished=finished,
                )
                on_epoch(report)
            history.commit()
    return run


def _begin(run: Run, *, resume: bool) -> dict[str, Any] | None:
    if (run.folder / "config.json").exists() and not resume:
        fix = "give --resume to go on with it, or another --out"
        raise UserError(f"no run in {run.folder}", "one that was started before", fix)
    state = load_state(run.folder)
    if state is None:
        # A start that took no whole epoch binds nobody: data or settings may have been mended since.
        run.write()
        return None
    before = Run.open(run.folder)
    now = (run.config.as_dict(), run.plan, run.data_fingerprint)
    if now != (before.config.as_dict(), before.plan, before.data_fingerprint):
        fix = "repeat the first command with --resume, or give another --out"
        raise UserError(f"the settings and data that {run.folder} was started with", "others", fix)
    return state


class _History:
    """The epochs so far: tables, best score and checkpoint."""

    def __init__(self, run: Run, trainer: Trainer, state: dict[str, Any] | None) -> None:
        self._run, self._trainer = run, trainer
        self.epoch, self._best, self.words = 0, -math.inf, ""
        self._metrics: list[dict[str, Any]] = []
        self._timing: list[dict[str, Any]] = []
        if state is not None:
            self.epoch, self._best = state["epoch"], state["best"]
            self._metrics, self._timing = state["metrics"], state["timing"]
            trainer.bundle.load_state_dict(state["networks"])
            for role, optimizer in trainer.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][role])
            self._write()

    def add(self, logs: list[StepLog], evaluation: Evaluation | None, seconds: float, *, finished: bool) -> None:
        """Sums up an epoch, and writes tables and weights."""
        plan, method = self._trainer.plan, self._run.config.method
        self.epoch += 1
        row = {
            "epoch": self.epoch,
            "step": self.epoch * plan.steps_per_epoch,
            "learning_rate": logs[-1].learning_rate,
            "unsup_weight": logs[-1].unsup_weight,
            "loss_sup": _mean([log.loss_sup for log in logs]),
            "loss_unsup": _mean([log.loss_unsup for log in logs]),
            "confident_fraction": _mean([log.confident_fraction for log in logs]),
        }
        # A warm-up has no unsupervised loss; one that is not finite spoils the next supervised one anyway.
        if not math.isfinite(row["loss_sup"]):
            got = f"{row['loss_sup']} in epoch {self.epoch}"
            raise UserError("a finite loss", got, "lower --lr; the last checkpoint is kept")
        scores = evaluation.table().set_index("role") if evaluation is not None else pd.DataFrame()
        for role in ROLES:
            row[f"miou_{role}"] = float(scores["miou"].get(role, math.nan)) if len(scores) else math.nan
        row["pixel_accuracy_ensemble"] = (
            float(scores["pixel_accuracy"].get("ensemble", math.nan)) if len(scores) else math.nan
        )
        self._metrics.append(row)
        images = method.batch_labeled + (method.batch_unlabeled if method.method == "psmt" else 0)
        device = self._trainer.device
        memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.startswith("cuda") else _peak_rss()
        self._timing.append(
            {
                "epoch": self.epoch,
                "images_per_second": images * len(logs) / seconds,
                "seconds": seconds,
                "peak_memory_mb": memory,
            }
        )
        score = row["miou_ensemble" if method.method == "psmt" else "miou_student"]
        if score > self._best:
            self._best = score
            self._trainer.bundle.save(self._run.folder / "best.safetensors")
        best = f", best mIoU {self._best:.3f}" if math.isfinite(self._best) else ""
        unsup = f" + {row['loss_unsup']:.3f}" if math.isfinite(row["loss_unsup"]) else ""
        self.words = f"loss {row['loss_sup']:.3f}{unsup}{best}"
        self._write()
        if finished and evaluation is not None:
            evaluation.save(self._run.folder)

    def commit(self) -> None:
        """Writes the checkpoint; from here on the epoch counts, and everything else of it is on disk."""
        save_state(
            self._run.folder,
            {
                "epoch": self.epoch,
                "best": self._best,
                "metrics": self._metrics,
                "timing": self._timing,
                "networks": self._trainer.bundle.state_dict(),
                "optimizers": {role: opt.state_dict() for role, opt in self._trainer.optimizers.items()},
            },
        )

    def _write(self) -> None:
        self._trainer.bundle.save(self._run.folder / "last.safetensors")
        write_csv(self._run.folder / "metrics.csv", pd.DataFrame(self._metrics))
        write_csv(self._run.folder / "timing.csv", pd.DataFrame(self._timing))


def _split_hash(split: Split) -> str:
    lines = "\n".join([*sorted(split.labeled), "", *sorted(split.unlabeled)])
    return hashlib.sha256(lines.encode()).hexdigest()


def _mean(values: list[torch.Tensor]) -> float:
    return float(torch.stack(values).mean())


def _peak_rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
