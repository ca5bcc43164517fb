"""A run from its first step to its last."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from psmt_viz.config import Config
from psmt_viz.data.dataset import SegmentationData
from psmt_viz.progress import Advance, progress, silence
from psmt_viz.runs import Run
from psmt_viz.train.checkpoint import load_state
from psmt_viz.train.engine import Engine
from psmt_viz.train.failures import explained
from psmt_viz.train.history import Diverged, History
from psmt_viz.train.loop import OnEpoch, TrainingLoop
from psmt_viz.train.notices import warn_before
from psmt_viz.train.starting import begin, compare_versions, describe
from psmt_viz.train.stopping import Stopped, StopRequest
from psmt_viz.train.tracking import Tracker, open_trackers
from psmt_viz.train.trainer import Trainer
from psmt_viz.train.unstarted import nothing_left_behind


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

    A new run that fails before its first checkpoint leaves nothing in the folder.

    Args:
        config: All settings.
        data: The data set that `config.data` names.
        folder: The run folder; it exists. The main process's counts, on a disk that all processes see.
        engine: Where to compute; by default in this process on the CPU.
        resume: Continue from the folder's last checkpoint, if there is one; otherwise the folder must hold no run.
        on_epoch: Called after each epoch, in the main process.
        trackers: Further trackers, each `module:Class` (see `psmt_viz.train.tracking`).

    Returns:
        The finished run.

    Raises:
        UserError: if the folder holds another run, or the loss stops being finite.
        Stopped: after Ctrl-C or SIGTERM; a checkpoint of the last whole step is written.
    """
    engine = engine or Engine(system=config.system)
    # The other processes are told the folder later; nothing in it is theirs.
    with nothing_left_behind(folder) if engine.is_main_process else nullcontext():
        return _train(config, data, folder, engine, resume=resume, on_epoch=on_epoch, trackers=trackers)


def _train(
    config: Config,
    data: SegmentationData,
    folder: Path,
    engine: Engine,
    *,
    resume: bool,
    on_epoch: OnEpoch | None,
    trackers: Sequence[str],
) -> Run:
    run = describe(config, data, folder, devices=engine.world_size)
    state, finished, watchers = None, False, list[Tracker]()
    if engine.is_main_process:
        # Before other processes start, so that a mistake is told once.
        state = begin(run, resume=resume)
        finished = state is not None and state["step"] == run.plan["total_steps"] and not state["rows"]
        if not finished:
            watchers = open_trackers(config.system.tensorboard, trackers, folder, state["step"] if state else 0)
        if state is None:
            warn_before(config, data, data.split(config.data.split))
        elif not finished:
            compare_versions(run)
    engine.launch()
    folder, finished = engine.broadcast((folder, finished))
    run = replace(run, folder=folder)
    if finished:
        if engine.is_main_process:
            print(f"{folder} is finished; nothing to do", file=sys.stderr)
        engine.close()
        return run
    trainer = Trainer(config, data, engine=engine)
    history = History(run, trainer, state if engine.is_main_process else load_state(folder))
    del state  # as large as the networks
    try:
        with StopRequest() as stop, _shown(engine, history, run) as advance, explained(engine):
            loop = TrainingLoop(run, trainer, history, stop=stop, trackers=watchers, on_epoch=on_epoch)
            loop.to_the_end(advance)
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
        trainer.feed.close()
        for watcher in watchers:
            watcher.close()
    engine.close()
    return run


def _shown(engine: Engine, history: History, run: Run) -> AbstractContextManager[Advance]:
    if not engine.is_main_process:
        return silence()
    return progress("train", run.plan["total_steps"], done=history.step)
