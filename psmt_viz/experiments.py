"""Runs that belong together: those of one experiment, under several seeds."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from psmt_viz.config import fixed_settings
from psmt_viz.runs import Run


def experiments(runs: Sequence[Run]) -> dict[str, tuple[Run, ...]]:
    """Groups runs that differ in nothing but the seed, and names each group.

    Args:
        runs: Any runs; a folder that is given twice counts once.

    Returns:
        Name -> runs, in the order given. A group holds each seed once: a repetition of a seed is another experiment. A
        run alone has its folder's name, with the folders above where another has it too; several have the name that
        is left without the numbers at the end (`scenes-0`, `scenes-1` -> `scenes`), or else all their names.
    """
    groups: dict[tuple[str, int], list[Run]] = {}
    seen: Counter[tuple[str, int]] = Counter()
    for run in {run.folder.resolve(): run for run in runs}.values():
        key = (_settings(run), run.config.system.seed)
        groups.setdefault((key[0], seen[key]), []).append(run)
        seen[key] += 1
    names = [_names(group, [run.folder.resolve() for run in runs]) for group in groups.values()]
    stems = [own[0] if len(own) == 1 else _stem(own) for own in names]
    return {
        stem if stem and stems.count(stem) == 1 else ", ".join(own): tuple(group)
        for stem, own, group in zip(stems, names, groups.values(), strict=True)
    }


def _settings(run: Run) -> str:
    """Everything on which the numbers depend but the seed; the same as decides whether a run can be resumed."""
    settings = fixed_settings(run.config)
    del settings["system"]["seed"]
    return json.dumps([settings, run.plan, run.data_fingerprint, run.method_version], sort_keys=True)


def _names(group: Sequence[Run], folders: Sequence[Path]) -> list[str]:
    """The end of each run's path that no other folder has."""
    names = []
    for run in group:
        own = run.folder.resolve()
        others = [folder.parts for folder in folders if folder != own]
        parts = own.parts
        depth = next(n for n in range(1, len(parts) + 1) if all(other[-n:] != parts[-n:] for other in others))
        names.append("/".join(parts[-depth:]))
    return names


def _stem(names: Sequence[str]) -> str:
    """What names have in common without the numbers at their ends, or nothing."""
    stems = {re.sub(r"[-_. ]*\d+$", "", name) for name in names}
    return stems.pop() if len(stems) == 1 else ""
