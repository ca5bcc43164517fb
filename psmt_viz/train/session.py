"""A run from its first step to its last, with what it leaves on disk."""

from __future__ import annotations

import hashlib
import math
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from psmt_viz.config import Config, fixed_settings
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.errors import UserError
from psmt_viz.models.build import build
from psmt_viz.probes.evaluate import evaluate
from psmt_viz.progress import Advance, progress, silence
from psmt_viz.results import Curves, Evaluation, TrainingBatch
from psmt_viz.runs import Run, versions
from psmt_viz.train.checkpoint import load_state
from psmt_viz.train.engine import Engine
from psmt_viz.train.history import Diverged, History
from psmt_viz.train.notices import warn_before, warn_of_epoch
from psmt_viz.train.plan import resolve
from psmt_viz.train.stopping import Stopped, StopRequest
from psmt_viz.train.tracking import Tracker, open_trackers
from psmt_viz.train.trainer import Trainer

_ASK_EVERY = 10
"""Steps between two questions of several processes to each other."""
_UNFINISHED = re.compile(
    r"\.(config|state|last|best|epoch-\d+|metrics|timing|evaluation|confusion|results|batch)-[a-z0-9_]{8}\.\w+"
)
"""What a killed run leaves of the file that it was writing (see `psmt_viz.files.whole`)."""


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
    engine: Engine | None = None,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
    trackers: Sequence[str] = (),
) -> Run:
    """Trains a run and fills its folder: config, weights, metrics, timing and checkpoints.

    Args:
        config: All settings.
        data: The data set that `config.data` names.
        folder: The run folder; it exists. The first process's counts, on a disk that all processes see.
        engine: Where to compute; left out, in this process on the CPU.
        resume: Go on from the folder's last checkpoint, if there is one; without, the folder must hold no run.
        on_epoch: Called after each epoch, in the first process.
        trackers: Further trackers, each `module:Class` (see `psmt_viz.train.tracking`).

    Returns:
        The finished run.

    Raises:
        UserError: if the folder holds another run, or the loss stops being finite.
        Stopped: after Ctrl-C or SIGTERM; a checkpoint of the last whole step is written.
    """
    engine = engine or Engine(system=config.system)
    split = data.split(config.data.split)
    plan = resolve(config, split, devices=engine.world_size)
    fingerprint = data.fingerprint() | {"split_sha256": _split_hash(split)}

    def opened(folder: Path) -> Run:
        return Run(
            folder=folder,
            config=config,
            classes=data.classes,
            plan=plan.as_dict(),
            data_fingerprint=fingerprint,
            versions=versions(),
        )

    finished, watchers = False, []
    if engine.is_main_process:
        # Before other processes start, so that a mistake is told once.
        state = _begin(opened(folder), resume=resume)
        _tidy(folder)
        finished = state is not None and state["step"] == plan.total_steps and not state["rows"]
        if not finished:
            watchers = open_trackers(config.system.tensorboard, trackers, folder, state["step"] if state else 0)
        if state is None:
            warn_before(config, data, split)
        elif not finished:
            _compare_versions(Run.open(folder).versions, versions())
    engine.launch()
    folder, finished = engine.broadcast((folder, finished))
    run = opened(folder)
    if finished:
        if engine.is_main_process:
            print(f"{folder} is finished; nothing to do", file=sys.stderr)
        engine.close()
        return run
    trainer = Trainer(config, data, engine=engine)
    history = History(run, trainer, load_state(folder))
    try:
        with StopRequest() as stop, _shown(engine, plan.total_steps, history.step) as advance, _explained(engine):
            session = _Session(run, trainer, history, stop, watchers)
            while history.step < plan.total_steps or history.mid_epoch:
                session.epoch(advance, on_epoch)
    except (Stopped, Diverged) as end:
        # All processes are here. One that left without closing would at times be aborted by the threads of its
        # connection; one that fails alone does leave so, since closing waits for the others.
        engine.close()
        if engine.is_main_process:  # one of several processes tells it
            raise
        if isinstance(end, Diverged):
            raise SystemExit(2) from None
        return run
    finally:
        for watcher in watchers:
            watcher.close()
    engine.close()
    return run


class _Session:
    """The epochs of one sitting."""

    def __init__(
        self, run: Run, trainer: Trainer, history: History, stop: StopRequest, trackers: Sequence[Tracker]
    ) -> None:
        self.run, self.trainer, self.history, self.stop, self.trackers = run, trainer, history, stop, trackers
        self.engine, self.system = trainer.engine, run.config.system
        self._saved_at = time.monotonic()

    def epoch(self, advance: Advance, on_epoch: OnEpoch | None) -> None:
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
            if on_epoch is not None:
                report = EpochReport(
                    run=self.run,
                    curves=self.run.curves(),
                    evaluation=evaluation,
                    batch=partial(self.trainer.picture, first),
                    finished=finished,
                )
                on_epoch(report)
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
        ids = data.ids("val")
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


def _begin(run: Run, *, resume: bool) -> dict[str, Any] | None:
    started = (run.folder / "config.json").exists()
    if started and not resume:
        fix = "give --resume to go on with it, or another --out"
        raise UserError(f"no run in {run.folder}", "one that was started before", fix)
    if started and _before(run.folder).imported:
        raise UserError(f"a run that was trained here in {run.folder}", "imported weights", "give another --out")
    state = load_state(run.folder)
    if state is None:
        # A start that reached no checkpoint binds nobody: data or settings may have been mended since.
        with torch.device("meta"):
            # A network that cannot be built is told before anything is written.
            build(replace(run.config.model, pretrained=False), len(run.classes))
        run.write()
        return None
    before = _before(run.folder)
    if before.method_version != run.method_version:
        got, fix = f"version {before.method_version}", "give another --out and train it anew"
        raise UserError(f"a run of version {run.method_version} of the method in {run.folder}", got, fix)
    now = (fixed_settings(run.config), run.plan, run.data_fingerprint)
    if now != (fixed_settings(before.config), before.plan, before.data_fingerprint):
        fix = "repeat the first command with --resume, or give another --out"
        raise UserError(f"the settings and data that {run.folder} was started with", "others", fix)
    return state


def _before(folder: Path) -> Run:
    """Reads the run that is to go on; an earlier version of the method is refused, so the warning is not needed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Run.open(folder)


def _tidy(folder: Path) -> None:
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name):
            path.unlink()


def _compare_versions(before: dict[str, str], now: dict[str, str]) -> None:
    if changed := [f"{name} {before[name]} -> {now[name]}" for name in before if now.get(name) != before[name]]:
        warnings.warn(f"other versions than the run began with: {', '.join(changed)}", stacklevel=2)


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Turns failures whose cause is known into errors that say it; the last checkpoint is whole in each case."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        fix = "raise --accumulate, or lower the batch or --crop, and go on with --resume"
        raise UserError("a step that fits into the device's memory", str(error), fix) from None
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        got = "one image with a feature map of one pixel"
        raise UserError("several values for BatchNorm", got, "raise --crop or the images of a part") from None
    except RuntimeError as error:
        if engine.world_size == 1 or not any(word in str(error).lower() for word in ("gloo", "nccl", "connection")):
            raise
        fix = "see its own message, and go on with --resume"
        raise UserError(f"all {engine.world_size} processes to the end", "one that died", fix) from None


def _shown(engine: Engine, total: int, done: int) -> AbstractContextManager[Advance]:
    return progress("train", total, done=done) if engine.is_main_process else silence()


def _split_hash(split: Split) -> str:
    lines = "\n".join([*sorted(split.labeled), "", *sorted(split.unlabeled)])
    return hashlib.sha256(lines.encode()).hexdigest()
