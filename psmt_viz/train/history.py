"""What a run has measured so far, its best score and its checkpoint."""

from __future__ import annotations

import math
import resource
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from psmt_viz.errors import UserError
from psmt_viz.models.weights import save_weights
from psmt_viz.results import ROLES, Evaluation, write_csv
from psmt_viz.runs import Run
from psmt_viz.train.checkpoint import save_state
from psmt_viz.train.distance import relative_distance
from psmt_viz.train.loop import MEASURED, StepLog, Trainer

_FIELDS = (*MEASURED, "unsup_weight", "learning_rate")


class Diverged(UserError):
    """A loss stopped being finite; all processes have its number, so all come to this at once."""


class History:
    """Tables, position and checkpoint of a run; only the engine's first process writes.

    Args:
        run: The run.
        trainer: Its networks and optimisers; they are put back to the checkpoint.
        state: What `load_state` gave.
    """

    def __init__(self, run: Run, trainer: Trainer, state: Mapping[str, Any] | None) -> None:
        self._run, self._trainer = run, trainer
        self.step, self.words, self._best, self._seconds = 0, "", -math.inf, 0.0
        self._metrics: list[dict[str, Any]] = []
        self._timing: list[dict[str, Any]] = []
        self._rows: list[list[float]] = []
        self._pending: list[StepLog] = []
        if state is None:
            return
        self.step, self._best, self._seconds = state["step"], state["best"], state["seconds"]
        self._metrics, self._timing, self._rows = state["metrics"], state["timing"], state["rows"]
        trainer.networks.load_state_dict(state["networks"])
        for role, learner in trainer.learners.items():
            learner.optimizer.load_state_dict(state["optimizers"][role])
        trainer.engine.load_scale(state["scale"])
        self._write()

    @property
    def epoch(self) -> int:
        """Epochs that are finished, validation included."""
        return len(self._metrics)

    @property
    def first_step(self) -> int:
        """The step with which the current epoch began."""
        return self._trainer.plan.epoch_end(self.epoch - 1) if self.epoch else 0

    @property
    def open(self) -> bool:
        """Whether there are steps since the last finished epoch."""
        return self.step > self.first_step

    def note(self, log: StepLog, seconds: float) -> None:
        """Takes down one step; its numbers stay on the device until `settle`."""
        self._pending.append(log)
        self.step += 1
        self._seconds += seconds

    def settle(self) -> dict[str, float]:
        """Fetches the numbers noted since the last call.

        Returns:
            The last step's, those that were measured, by name.

        Raises:
            Diverged: if a loss is not finite.
        """
        if self._pending:
            fetched = torch.stack([log.measured for log in self._pending]).tolist()
            first = self.step - len(self._pending)
            for step, (numbers, log) in enumerate(zip(fetched, self._pending, strict=True), start=first):
                self._rows.append([*numbers, log.unsup_weight, log.learning_rate])
                self._require_finite(step)
            self._pending = []
        last = dict(zip(_FIELDS, self._rows[-1], strict=True)) if self._rows else {}
        return {name: value for name, value in last.items() if not math.isnan(value)}

    def add(self, evaluation: Evaluation | None, *, finished: bool) -> dict[str, Any]:
        """Sums up an epoch, and writes tables and weights; returns its row of metrics.csv."""
        self.settle()
        means = dict(zip(_FIELDS, (math.fsum(each) / len(each) for each in zip(*self._rows, strict=True)), strict=True))
        last = dict(zip(_FIELDS, self._rows[-1], strict=True))
        row: dict[str, Any] = {"epoch": self.epoch + 1, "step": self.step}
        row |= {name: last[name] for name in ("learning_rate", "unsup_weight")}
        row |= {name: means[name] for name in MEASURED[:3]}
        scores = evaluation.table().set_index("role") if evaluation is not None else pd.DataFrame()
        for role in ROLES:
            row[f"miou_{role}"] = _score(scores, "miou", role)
        row["pixel_accuracy_ensemble"] = _score(scores, "pixel_accuracy", "ensemble")
        row["teacher_disagreement"] = means["teacher_disagreement"]
        teachers = self._trainer.networks.teachers
        row["teacher_distance"] = relative_distance(*teachers.values()) if len(teachers) else math.nan
        self._time(len(self._rows))
        self._metrics.append(row)
        self._rows, self._seconds = [], 0.0
        method = self._run.config.method
        score = row[f"miou_{method.best_by if method.method == 'psmt' else 'student'}"]
        better = score > self._best
        self._best = score if better else self._best
        best = f", best mIoU {self._best:.3f}" if math.isfinite(self._best) else ""
        unsup = f" + {row['loss_unsup']:.3f}" if math.isfinite(row["loss_unsup"]) else ""
        self.words = f"loss {row['loss_sup']:.3f}{unsup}{best}"
        if self._trainer.engine.first:
            if better:
                save_weights(self._trainer.networks, self._run.folder / "best.safetensors")
            self._write()
            if finished and evaluation is not None:
                evaluation.save(self._run.folder)
        return row

    def commit(self) -> None:
        """Writes the checkpoint; from here on everything before it counts, and what is on disk belongs to it."""
        trainer = self._trainer
        save_state(
            self._run.folder,
            {
                "step": self.step,
                "best": self._best,
                "seconds": self._seconds,
                "metrics": self._metrics,
                "timing": self._timing,
                "rows": self._rows,
                "networks": trainer.networks.state_dict(),
                "optimizers": {role: each.optimizer.state_dict() for role, each in trainer.learners.items()},
                "scale": trainer.engine.scale(),
            },
        )
        self._prune()

    def _require_finite(self, step: int) -> None:
        row = dict(zip(_FIELDS, self._rows[-1], strict=True))
        names = ["loss_sup"]
        if self._run.config.method.method == "psmt" and step >= self._trainer.plan.warmup_steps:
            names.append("loss_unsup")
        for name in names:
            if not math.isfinite(row[name]):
                got = f"{name} {row[name]} at step {step}"
                raise Diverged("a finite loss", got, "lower --lr; the last checkpoint is kept")

    def _time(self, steps: int) -> None:
        method, device = self._run.config.method, self._trainer.device
        images = method.batch_labeled + (method.batch_unlabeled if method.method == "psmt" else 0)
        memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else _peak_rss()
        self._timing.append(
            {
                "epoch": self.epoch + 1,
                "images_per_second": images * steps / self._seconds,
                "seconds": self._seconds,
                "peak_memory_mb": memory,
            }
        )

    def _write(self) -> None:
        if not self._trainer.engine.first:
            return
        folder = self._run.folder
        if not self.open:
            # Inside an epoch the networks are further than the tables.
            save_weights(self._trainer.networks, folder / "last.safetensors")
            if self._run.config.system.keep_last:
                save_weights(self._trainer.networks, folder / f"epoch-{self.epoch:04d}.safetensors")
        for name, rows in (("metrics.csv", self._metrics), ("timing.csv", self._timing)):
            if rows:
                write_csv(folder / name, pd.DataFrame(rows))
            else:
                # Left by an epoch that did not reach its checkpoint.
                (folder / name).unlink(missing_ok=True)

    def _prune(self) -> None:
        kept = self._run.config.system.keep_last
        for path in sorted(self._run.folder.glob("epoch-*.safetensors"))[: -kept or None]:
            path.unlink()


def _score(scores: pd.DataFrame, name: str, role: str) -> float:
    return float(scores[name].get(role, math.nan)) if len(scores) else math.nan


def _peak_rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
