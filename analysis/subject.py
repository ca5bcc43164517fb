"""What every script of an exhibit is given: runs, their data, and a folder for what it makes."""

from __future__ import annotations

import argparse
from pathlib import Path

from psmt_viz.files import output_folder
from psmt_viz.runs import Run, experiments
from psmt_viz.subject import RunSubject


def runs(description: str | None, exhibit: str) -> tuple[list[tuple[str, Run]], Path]:
    """Reads the command line `RUN ... [--out DIR]`; runs that differ in their seed alone share a name."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", default=[None], help="left out, the run that comes with psmt-viz")
    parser.add_argument("--out", type=Path, help="left out, a new folder under runs/")
    flags = parser.parse_args()
    opened = [Run.open(folder) for folder in flags.runs]
    named = [(name, run) for name, group in experiments(opened).items() for run in group]
    return named, output_folder(flags.out, exhibit, opened[0].name)


def subject(description: str | None, exhibit: str) -> tuple[RunSubject, Path]:
    """Reads the command line `[RUN] [--data DIR] [--out DIR]` and opens what it names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="a run folder; left out, the run that comes with psmt-viz")
    parser.add_argument("--data", help="a data set; left out, the one that the run was trained on")
    parser.add_argument("--out", type=Path, help="left out, a new folder under runs/")
    flags = parser.parse_args()
    opened = RunSubject.open(flags.run, data=flags.data, weights="last", device="auto")
    return opened, output_folder(flags.out, exhibit, opened.name)
