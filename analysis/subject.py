"""Reads the command line of the scripts that draw one figure or table: runs, their data and a folder for the output."""

from __future__ import annotations

import argparse
from pathlib import Path

from psmt_viz.experiments import experiments
from psmt_viz.files import output_folder
from psmt_viz.runs import Run
from psmt_viz.subject import RunSubject


def runs(description: str | None, name: str) -> tuple[list[tuple[str, Run]], Path]:
    """Reads the command line `RUN ... [--out DIR]`; runs that differ in their seed alone share a name."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", default=[None], help="default: the run that comes with psmt-viz")
    parser.add_argument("--out", type=Path, help="default: a new folder under runs/")
    flags = parser.parse_args()
    opened = [Run.open(folder) for folder in flags.runs]
    named = [(experiment, run) for experiment, group in experiments(opened).items() for run in group]
    return named, output_folder(flags.out, name, opened[0].name)


def subject(description: str | None, name: str) -> tuple[RunSubject, Path]:
    """Reads the command line `[RUN] [--data DIR] [--out DIR]` and opens what it names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="a run folder; default: the run that comes with psmt-viz")
    parser.add_argument("--data", help="a data set; default: the one that the run was trained on")
    parser.add_argument("--out", type=Path, help="default: a new folder under runs/")
    flags = parser.parse_args()
    opened = RunSubject.open(flags.run, data=flags.data, weights="last", device="auto")
    return opened, output_folder(flags.out, name, opened.name)
