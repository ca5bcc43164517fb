"""Times ways of doing one thing in turn, A B A B ..., so that a ratio holds although the machine's speed drifts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table of RESULTS.md."""

    title: str
    about: str
    """What was measured, and what the columns mean; Markdown."""
    table: pd.DataFrame


def in_turn(ways: Mapping[str, Callable[[], Any]], *, repeats: int = 5, unit: float = 1.0) -> pd.DataFrame:
    """Calls every way once to warm up and then `repeats` times in turn.

    Args:
        ways: Name -> what to call; the first is the one that the others are compared with.
        repeats: Counted calls of each.
        unit: Seconds of the table's unit; 1e-3 for milliseconds.

    Returns:
        One row a way: `way`, `CPU` and `wall` (median and range), and `faster by`, the first way's CPU time over this
        one's, pair by pair.
    """
    for call in ways.values():
        call()
    rounds = [{name: _time(call) for name, call in ways.items()} for _ in range(repeats)]
    return table_of(rounds, unit=unit)


def processes_in_turn(
    commands: Mapping[str, Sequence[str]], *, repeats: int = 3, cwd: Path | None = None
) -> pd.DataFrame:
    """Runs commands as processes of one thread in turn; see `in_turn`. Adds `memory`, the peak in MB."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    rounds = [{name: _run(command, cwd, environment) for name, command in commands.items()} for _ in range(repeats)]
    return table_of(rounds)


def table_of(rounds: Sequence[Mapping[str, Mapping[str, float]]], *, unit: float = 1.0) -> pd.DataFrame:
    """Sums up rounds of name -> {`CPU`, `wall`} in seconds and perhaps `memory` in MB."""
    first = next(iter(rounds[0]))
    rows = []
    for name in rounds[0]:
        row = {"way": name}
        for figure in rounds[0][name]:
            row[figure] = spread([each[name][figure] / (1.0 if figure == "memory" else unit) for each in rounds])
        row["faster by"] = spread([each[first]["CPU"] / each[name]["CPU"] for each in rounds])
        rows.append(row)
    return pd.DataFrame(rows)


def spread(values: Sequence[float]) -> str:
    """Returns the median and the range as text with three digits."""
    middle, low, high = np.median(values), min(values), max(values)
    return f"{_three(middle)} ({_three(low)} to {_three(high)})"


def _three(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _time(call: Callable[[], Any]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"CPU": time.process_time() - cpu, "wall": time.perf_counter() - wall}


# A process begins with the peak memory of the one that starts it, so that has to be small.
_SMALL = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def _run(command: Sequence[str], cwd: Path | None, environment: Mapping[str, str]) -> dict[str, float]:
    small = [sys.executable, "-S", "-c", _SMALL, *command]
    told = subprocess.run(small, cwd=cwd, env=dict(environment), stdout=subprocess.PIPE, text=True, check=True)
    cpu, wall, memory = map(float, told.stdout.split())
    return {"CPU": cpu, "wall": wall, "memory": memory}
