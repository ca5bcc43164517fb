"""The training loop: steps, validation, tables, callbacks and checkpoints, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from psmt_viz.probes.evaluate import evaluate
from psmt_viz.progress import Advance
from psmt_viz.results import Curves, Evaluation, TrainingBatch
from psmt_viz.runs import Run
from psmt_viz.train.history import History
from psmt_viz.train.notices import warn_of_epoch, warn_of_waiting
from psmt_viz.train.stopping import StopRequest
from psmt_viz.train.tracking import Tracker
from psmt_viz.train.trainer import Trainer

_ASK_EVERY = 10
"""Steps between two questions of several processes to each other."""


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


class TrainingLoop:
    """Takes the steps that are left of a run, until it is finished or asked to stop.

    Args:
        run: The run.
        trainer: Takes the steps.
        history: What was measured before, and the run's position.
        stop: Whether somebody asked to stop.
        trackers: Hear of steps and epochs.
        on_epoch: Called after each epoch, in the main process.
    """

    def __init__(
        self,
        run: Run,
        trainer: Trainer,
        history: History,
        *,
        stop: StopRequest,
        trackers: Sequence[Tracker] = (),
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self.run, self.trainer, self.history = run, trainer, history
        self.stop, self.trackers, self.on_epoch = stop, trackers, on_epoch
        self.engine, self.system = trainer.engine, run.config.system
        self._saved_at = time.monotonic()
        self._warned_of_waiting = False

    def to_the_end(self, advance: Advance) -> None:
        """Takes all steps that are left.

        Raises:
            Stopped: after a request to stop; a checkpoint of the last whole step is written.
            Diverged: if a search for noise failed or a loss is not finite.
        """
        while self.history.step < self.trainer.plan.total_steps or self.history.mid_epoch:
            self._epoch(advance)

    def _epoch(self, advance: Advance) -> None:
        """Takes the rest of an epoch's steps, validates, writes, and calls back."""
        history, plan = self.history, self.trainer.plan
        first = history.first_step
        self._steps(plan.epoch_end(history.epoch), advance)
        finished = history.step == plan.total_steps
        validating = finished or (history.epoch + 1) % self.system.val_every == 0
        evaluation = self._validation() if validating else None
        row = history.add(evaluation, finished=finished)
        if self.engine.is_main_process:
            warn_of_epoch(row, self.run.config)
            self._warn_of_waiting()
            if self.on_epoch is not None:
                report = EpochReport(
                    run=self.run,
                    curves=self.run.curves(),
                    evaluation=evaluation,
                    batch=partial(self.trainer.picture, first),
                    finished=finished,
                )
                self.on_epoch(report)
            for tracker in self.trackers:
                tracker.scalars(history.step, {name: value for name, value in row.items() if math.isfinite(value)})
                tracker.images(history.step, self.trainer.picture(first))
        self._checkpoint()

    def _steps(self, last: int, advance: Advance) -> None:
        history, system = self.history, self.system
        if history.step == last:
            return
        steps = self.trainer.steps(history.step, last)
        started = time.perf_counter()
        for log in steps:
            history.log_step(log, time.perf_counter() - started)
            advance(history.status_line)
            started = time.perf_counter()
            if history.step % system.log_every == 0:
                values = history.flush()
                for tracker in self.trackers:
                    tracker.scalars(history.step, values)
            if self._anywhere(self.stop.number is not None):
                steps.close()
                self._checkpoint()
                raise self.stop.stopped()
            if self._due():
                self._checkpoint()

    def _due(self) -> bool:
        every = self.system.checkpoint_steps
        if every is not None and self.history.step % every == 0:
            return True
        # Clocks differ, and a checkpoint is where a loss that is not finite ends a process.
        return self._anywhere(time.monotonic() - self._saved_at > 60 * self.system.checkpoint_minutes)

    def _anywhere(self, flag: bool) -> bool:
        """Whether a flag is set in some process; several are asked now and then only."""
        if self.engine.world_size == 1:
            return flag
        return self.history.step % _ASK_EVERY == 0 and self.engine.any(flag)

    def _warn_of_waiting(self) -> None:
        """Warns in the first epoch that waits for images."""
        if not self._warned_of_waiting:
            self._warned_of_waiting = warn_of_waiting(self.history.timing, self.trainer.feed.workers)

    def _checkpoint(self) -> None:
        self.history.flush()
        if self.engine.is_main_process:
            self.history.save_checkpoint()
        self._saved_at = time.monotonic()

    def _validation(self) -> Evaluation:
        """Validates, with a checkpoint of the steps before if it is stopped; several processes write it beforehand."""
        if self.engine.world_size > 1:
            self._checkpoint()
            return self._validate()
        try:
            with self.stop.at_once():
                return self._validate()
        except KeyboardInterrupt:
            self._checkpoint()
            raise

    def _validate(self) -> Evaluation:
        trainer, data = self.trainer, self.trainer.data
        ids = data.ids("val")[: self.system.val_images]
        views = self.run.config.views
        with self.engine.autocast():
            own = evaluate(
                trainer.networks,
                data,
                ids=ids[self.engine.rank :: self.engine.world_size],
                window=views.window,
                window_stride=views.window_stride,
                device=str(trainer.device),
                subject=self.run.facts(data.name),
            )
        if self.engine.world_size == 1:
            return own
        confusion = {
            role: self.engine.sum(torch.from_numpy(matrix).to(trainer.device)).cpu().numpy()
            for role, matrix in own.confusion.items()
        }
        return replace(own, confusion=confusion, used={**own.used, "images": len(ids)})
