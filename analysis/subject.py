"""What every script of an exhibit is given: a run, its data and a folder for what it makes."""

from __future__ import annotations

import argparse
from pathlib import Path

from psmt_viz.exhibits import RunSubject
from psmt_viz.files import output_folder

RESULTS = Path(__file__).parent / "results" / "scenes"
"""Where the numbers behind the published figures of the shipped run lie."""


def subject(description: str | None, exhibit: str) -> tuple[RunSubject, Path]:
    """Reads the command line `[RUN] [--data DIR] [--out DIR]` and opens what it names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="a run folder; left out, the run that comes with psmt-viz")
    parser.add_argument("--data", help="a data set; left out, the one that the run was trained on")
    parser.add_argument("--out", type=Path, help="left out, a new folder under runs/")
    flags = parser.parse_args()
    opened = RunSubject.open(flags.run, data=flags.data, weights="last", device="auto")
    return opened, output_folder(flags.out, exhibit, opened.name)
