"""How a run starts, or resumes: what it is, and whether its folder is its own."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from psmt_viz.config import Config, ModelConfig, fixed_settings
from psmt_viz.data.dataset import SegmentationData, Split
from psmt_viz.errors import UserError
from psmt_viz.models.build import build
from psmt_viz.runs import Run, is_run, unfinished, versions
from psmt_viz.settings import flag_of
from psmt_viz.train.checkpoint import load_state
from psmt_viz.train.plan import resolve

_NAMED = 4
"""Differences at most that an error names."""


def describe(config: Config, data: SegmentationData, folder: Path, *, devices: int) -> Run:
    """Returns the run that a configuration trains on some data; nothing is written.

    Args:
        config: All settings.
        data: The data set.
        folder: The run folder.
        devices: Processes that train together.

    Raises:
        UserError: if the run has no steps to take (see `resolve`).
    """
    split = data.split(config.data.split)
    return Run(
        folder=folder,
        config=config,
        classes=data.classes,
        plan=resolve(config, split, devices=devices).as_dict(),
        data_fingerprint=data.fingerprint() | {"split_sha256": _split_hash(split)},
        versions=versions(),
    )


def begin(run: Run, *, resume: bool) -> dict[str, Any] | None:
    """Makes a folder the run's own, or checks that it is, and removes what a killed process left half written.

    Args:
        run: The run.
        resume: Continue from the last checkpoint, if there is one.

    Returns:
        The last checkpoint, if there is one.

    Raises:
        UserError: if the folder holds a run and none shall be resumed, or another run; or the network cannot be built.
    """
    state = _state(run, resume=resume)
    for path in unfinished(run.folder):
        path.unlink()
    return state


def _state(run: Run, *, resume: bool) -> dict[str, Any] | None:
    started = is_run(run.folder)
    if started and not resume:
        fix = "give --resume to resume it, or another --out"
        raise UserError(f"no run in {run.folder}", "one that was started before", fix)
    if started and _before(run.folder).imported:
        raise UserError(f"a run that was trained here in {run.folder}", "imported weights", "give another --out")
    state = load_state(run.folder)
    if state is None:
        # A start that reached no checkpoint binds nobody: data or settings may have been mended since.
        check_network(run.config.model, len(run.classes))
        run.write()
        return None
    before = _before(run.folder)
    if before.method_version != run.method_version:
        got, fix = f"version {before.method_version}", "give another --out and train it anew"
        raise UserError(f"a run of version {run.method_version} of the method in {run.folder}", got, fix)
    if others := [*_others(run, before)]:
        fix = "repeat the first command with --resume, or give another --out"
        got = "others: " + ", ".join(others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
        raise UserError(f"the settings and data that {run.folder} was started with", got, fix)
    if run.config.data != before.config.data:
        # The same data lies elsewhere now, where other commands look for it.
        replace(before, config=replace(before.config, data=run.config.data)).write()
    return state


def _others(run: Run, before: Run) -> Iterator[str]:
    """Yields what differs and may not, in words."""
    now, then = (fixed_settings(each.config) for each in (run, before))
    for group, settings in now.items():
        if not isinstance(settings, dict):
            yield from (f"{name} {words}" for name, words in _differing({group: settings}, {group: then[group]}))
        else:
            yield from (f"{flag_of(name)} {words}" for name, words in _differing(settings, then[group]))
    yield from (f"{name} {words}" for name, words in _differing(run.plan, before.plan))
    if names := [name for name, _ in _differing(run.data_fingerprint, before.data_fingerprint)]:
        yield f"data of other {', '.join(names)}"


def _differing(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in {**then, **now}:
        if (value := now.get(name)) != (was := then.get(name)):
            yield name, f"{value} in place of {was}"


def _before(folder: Path) -> Run:
    """Reads the run that is to be resumed, without a warning of an earlier version of the method, which is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Run.open(folder)


def check_network(config: ModelConfig, classes: int) -> None:
    """Refuses a network that cannot be built, before anything is written.

    Raises:
        UserError: if it cannot.
    """
    with torch.device("meta"):
        build(replace(config, pretrained=False), classes)


def compare_versions(run: Run) -> None:
    """Warns where a run that is resumed began with other versions of libraries."""
    before, now = _before(run.folder).versions, run.versions
    if changed := [f"{name} {before[name]} -> {now[name]}" for name in before if now.get(name) != before[name]]:
        warnings.warn(f"other versions than the run began with: {', '.join(changed)}", stacklevel=2)


def _split_hash(split: Split) -> str:
    lines = "\n".join([*sorted(split.labeled), "", *sorted(split.unlabeled)])
    return hashlib.sha256(lines.encode()).hexdigest()
