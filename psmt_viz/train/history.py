"""What a run has measured so far, its best score and its checkpoint."""

from __future__ import annotations

import math
import resource
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from psmt_viz.errors import UserError
from psmt_viz.models.weights import save_weights
from psmt_viz.perturb import fault_of
from psmt_viz.results import Evaluation, write_csv
from psmt_viz.runs import Run, RunFile, epoch_name
from psmt_viz.train.checkpoint import save_state
from psmt_viz.train.method import StepLog
from psmt_viz.train.trainer import Trainer

_WAY_OUT = "lower --lr; the last checkpoint is kept"


class Diverged(UserError):
    """A loss or a search's features stopped being finite; all processes have the numbers and come to this at once."""


class History:
    """Tables, position and checkpoint of a run; only the engine's main process writes.

    Args:
        run: The run.
        trainer: Its networks and optimisers; they are put back to the checkpoint.
        state: What `load_state` gave.
    """

    def __init__(self, run: Run, trainer: Trainer, state: Mapping[str, Any] | None) -> None:
        self._run, self._trainer = run, trainer
        self.step, self.status_line, self._best = 0, "", -math.inf
        self._seconds, self._waited = 0.0, 0.0
        self._metrics: list[dict[str, Any]] = []
        self._timing: list[dict[str, Any]] = []
        self._rows: list[dict[str, float]] = []
        self._pending: list[StepLog] = []
        if state is None:
            return
        self.step, self._best, self._seconds = state["step"], state["best"], state["seconds"]
        # Checkpoints did not always have it; what such an epoch waited is not known.
        self._waited = state.get("waited", math.nan if self._seconds else 0.0)
        self._metrics, self._timing, self._rows = state["metrics"], state["timing"], state["rows"]
        for role, network in trainer.networks.by_role().items():
            network.load_state_dict(state["networks"][role])
        for role, learner in trainer.learners.items():
            learner.optimizer.load_state_dict(state["optimizers"][role])
        trainer.engine.load_grad_scaler_state(state["scale"])
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
    def timing(self) -> Mapping[str, float]:
        """The last finished epoch's row of timing.csv."""
        return self._timing[-1]

    @property
    def mid_epoch(self) -> bool:
        """Whether there are steps since the last finished epoch."""
        return self.step > self.first_step

    def log_step(self, log: StepLog, seconds: float) -> None:
        """Takes down one step; its numbers stay on the device until `flush`."""
        self._pending.append(log)
        self.step += 1
        self._seconds += seconds

    def flush(self) -> dict[str, float]:
        """Fetches the numbers of the steps since the last call.

        Returns:
            The last step's, by name.

        Raises:
            Diverged: if a search for noise failed or a loss is not finite.
        """
        if self._pending:
            fetched = iter(torch.stack([value for log in self._pending for value in _numbers(log)]).tolist())
            first = self.step - len(self._pending)
            for step, log in enumerate(self._pending, start=first):
                measured = {name: next(fetched) for name in log.measured}
                if log.faults is not None:
                    _require_search([next(fetched) for _ in log.faults], step)
                _require_finite(measured, step)
                self._rows.append(measured | {"unsup_weight": log.unsup_weight, "learning_rate": log.learning_rate})
            self._pending = []
            self._waited += self._trainer.waiting.seconds()
        return dict(self._rows[-1]) if self._rows else {}

    def add(self, evaluation: Evaluation | None, *, finished: bool) -> dict[str, Any]:
        """Sums up an epoch, and writes tables and weights; returns its row of metrics.csv."""
        last, method = self.flush(), self._run.config.method
        found: dict[str, Any] = {name: math.fsum(row[name] for row in self._rows) / len(self._rows) for name in last}
        found |= {"epoch": self.epoch + 1, "step": self.step}
        found |= {name: last[name] for name in ("learning_rate", "unsup_weight")}
        found |= self._trainer.method.epoch_measures()
        if evaluation is not None:
            for score in evaluation.table().itertuples():
                found |= {f"miou_{score.role}": score.miou, f"pixel_accuracy_{score.role}": score.pixel_accuracy}
        row = {name: found.get(name, math.nan) for name in method.columns}
        self._time(len(self._rows))
        self._metrics.append(row)
        self._rows, self._seconds, self._waited = [], 0.0, 0.0
        score = row[f"miou_{method.best_role}"]
        better = score > self._best
        self._best = score if better else self._best
        best = f", best mIoU {self._best:.3f}" if math.isfinite(self._best) else ""
        losses = " + ".join(f"{row[name]:.3f}" for name in row if _is_loss(name) and math.isfinite(row[name]))
        self.status_line = f"loss {losses}{best}"
        if self._trainer.engine.is_main_process:
            if better:
                save_weights(self._trainer.networks, self._run.weights_path("best"))
            self._write()
            if finished and evaluation is not None:
                evaluation.save(self._run.folder)
        return row

    def save_checkpoint(self) -> None:
        """Writes the checkpoint; from here on everything before it counts, and what is on disk belongs to it."""
        trainer = self._trainer
        save_state(
            self._run.folder,
            {
                "step": self.step,
                "best": self._best,
                "seconds": self._seconds,
                "waited": self._waited,
                "metrics": self._metrics,
                "timing": self._timing,
                "rows": self._rows,
                "networks": {role: network.state_dict() for role, network in trainer.networks.by_role().items()},
                "optimizers": {role: each.optimizer.state_dict() for role, each in trainer.learners.items()},
                "scale": trainer.engine.grad_scaler_state(),
            },
        )
        self._prune()

    def _time(self, steps: int) -> None:
        images, device = self._run.config.method.images_per_step, self._trainer.device
        memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else _peak_rss()
        self._timing.append(
            {
                "epoch": self.epoch + 1,
                "images_per_second": images * steps / self._seconds,
                "seconds": self._seconds,
                "peak_memory_mb": memory,
                "data_wait": self._waited / self._seconds,
            }
        )

    def _write(self) -> None:
        if not self._trainer.engine.is_main_process:
            return
        if not self.mid_epoch:
            # Inside an epoch the networks are further than the tables.
            save_weights(self._trainer.networks, self._run.weights_path("last"))
            if self._run.config.system.keep_last:
                save_weights(self._trainer.networks, self._run.weights_path(epoch_name(self.epoch)))
        for file, rows in ((RunFile.METRICS, self._metrics), (RunFile.TIMING, self._timing)):
            if rows:
                write_csv(self._run.path(file), pd.DataFrame(rows))
            else:
                # Left by an epoch that did not reach its checkpoint.
                self._run.path(file).unlink(missing_ok=True)

    def _prune(self) -> None:
        kept = self._run.config.system.keep_last
        epochs = self._run.epoch_weights()
        for path in epochs[: len(epochs) - kept]:
            path.unlink()


def _is_loss(name: str) -> bool:
    return name.startswith("loss_")


def _numbers(log: StepLog) -> list[Tensor]:
    """Returns all that is to be fetched of a step: what it measured, then its faults."""
    return [*log.measured.values(), *(() if log.faults is None else log.faults)]


def _require_search(found: Sequence[float], step: int) -> None:
    if (error := fault_of(found)) is not None:
        raise Diverged(f"{error.expected} at step {step}", error.got, _WAY_OUT)


def _require_finite(measured: Mapping[str, float], step: int) -> None:
    for name, value in measured.items():
        if _is_loss(name) and not math.isfinite(value):
            raise Diverged("a finite loss", f"{name} {value} at step {step}", _WAY_OUT)


def _peak_rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
