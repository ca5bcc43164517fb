"""What does PS-MT gain? Trains a grid of runs, and draws all figures and tables from their measurements alone.

Claims:   PS-MT beats training on the labels alone; the teachers' ensemble lies above the student during training; after
          training a single teacher equals the ensemble (within 0.17 points); T-VAT perturbs more than VAT.
Command:  python analysis/evidence.py                     # figures and tables again, from the measurements
          python analysis/evidence.py scenes --jobs 2     # trains what is missing, then as above
          python analysis/evidence.py voc_mini --data DIR --jobs 2
          python analysis/evidence.py voc --data ~/VOC2012 --dry-run -- --devices 4
          python analysis/evidence.py voc_mini --data DIR --variant r50 -- --backbone resnet50 --crop 321
Cost:     figures and tables 15 s. Training on 2 cores: scenes one hour; voc_mini four for split 1_8 and five for the
          others; camvid one and a half. It can be stopped at any time; the same command resumes. Weights of one run on
          real images: 0.7 GB.
Expected: analysis/results/evidence/: runs.csv (one row per run), classes, epochs, flips and paired.csv, and all figures
          and tables.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from evidence_driver import Driver, locked
from evidence_figures import write_figures
from evidence_grid import ARMS, GRID, SPLITS, Cell, cells
from evidence_tables import Tables, compared, finished, measured

from psmt_viz.errors import UserError

RESULTS = Path(__file__).parent / "results" / "evidence"
RUNS = Path("runs/evidence")


def gather(runs: Path, grid: Sequence[Cell], folder: Path) -> tuple[Tables, dict[str, str]]:
    """Updates the tables in a folder with the finished runs among `grid`.

    Returns:
        The tables; and the runs that cannot be read or have other settings than their cells, with what is wrong. These
        have no rows.

    Raises:
        UserError: if runs that would be compared have not seen the same images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found, left_out = [], {}
    with locked(folder):
        for cell in grid:
            try:
                if finished(runs / cell.name):
                    found.append(measured(cell, runs / cell.name))
            except UserError as error:
                left_out[cell.name] = str(error)
        tables = Tables.load(folder).updated(found, without=left_out)
        tables.save(folder)
    return tables, left_out


def check(wanted: Sequence[Cell]) -> None:
    """Refuses settings without a name of their own, and a name without settings.

    Raises:
        UserError: in these cases, and if the flags are wrong.
    """
    for cell in wanted:
        other = compared(cell.config()) != compared(replace(cell, flags=()).config())
        if other and not cell.variant:
            flags = shlex.join(cell.flags)
            raise UserError(f"the settings of {cell.preset}", flags, "name other ones with --variant NAME")
        if cell.variant and not other:
            raise UserError(f"other settings for variant {cell.variant}", "the preset's", "add their flags behind `--`")


def show(driver: Driver, wanted: Sequence[Cell]) -> None:
    """Prints the commands that are missing, and below the first of each kind of training what it would do.

    Ends with the status of a plan that cannot be made.
    """
    seen = set()
    for cell in wanted:
        commands = driver.missing(cell)
        print(f"# {cell.name}" if commands else f"# {cell.name}: finished")
        for command in commands:
            print(shlex.join(command), flush=True)
            if command[1] == "train" and (cell.split, cell.arm) not in seen:
                seen.add((cell.split, cell.arm))
                plan = subprocess.run([sys.executable, "-m", "psmt_viz.cli", *command[1:], "--dry-run"], check=False)
                if plan.returncode:  # it has said what is wrong
                    sys.exit(plan.returncode)


def name_of_variant(text: str) -> str:
    """Reads a name that goes into those of folders, between hyphens.

    Raises:
        argparse.ArgumentTypeError: if it holds anything but letters, digits and underscores.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]*", text):
        raise argparse.ArgumentTypeError(f"expected letters, digits and underscores, got {text!r}")
    return text


def read_command() -> tuple[argparse.Namespace, list[Cell]]:
    """Returns the command line and the runs that it asks for; ends with status 2 where it is wrong."""
    own, flags = sys.argv[1:], []
    if "--" in own:
        own, flags = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", nargs="?", choices=GRID, help="default: nothing is trained")
    parser.add_argument("--data", help="the folder of images, for every preset but scenes")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=[], help="default: all of the grid")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[], help="default: all of the grid")
    parser.add_argument("--seeds", type=int, nargs="+", default=[], help="default: all of the grid")
    parser.add_argument(
        "--variant", type=name_of_variant, default="", help="a name for other settings, whose flags follow behind `--`"
    )
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of the runs")
    parser.add_argument("--tables", type=Path, default=RESULTS, help="folder of the measurements")
    parser.add_argument("--out", type=Path, help="where figures and tables go; default: beside the measurements")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--threads", type=int, help="of each training; default: all cores over --jobs")
    parser.add_argument("--dry-run", action="store_true", help="print the commands that are missing, and their plans")
    options = parser.parse_args(own)
    options.out = options.out or options.tables
    if options.preset is None:
        return options, []
    if (options.preset == "scenes") == bool(options.data):
        parser.error("--data DIR belongs to every preset but scenes")
    options.threads = options.threads or max(1, (os.cpu_count() or 1) // options.jobs)
    parts = {name: getattr(options, name) for name in ("splits", "arms", "seeds", "variant")}
    wanted = list(cells(options.preset, **parts, flags=flags))
    if not wanted:
        parser.error(f"the grid of {options.preset} has no such runs")
    return options, wanted


def main() -> int:
    """Trains the missing runs of those asked for, updates the tables and draws."""
    options, wanted = read_command()
    if not wanted:
        if options.tables.is_dir():
            with locked(options.tables):  # nobody writes them meanwhile
                tables = Tables.load(options.tables)
        else:
            tables = Tables.load(options.tables)
        write_figures(tables, options.out)
        return 0
    check(wanted)
    driver = Driver(options)
    if options.dry_run:
        show(driver, wanted)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with closing(driver.work(wanted)) as further:
            for _ in further:
                gather(options.runs, wanted, options.tables)
    except KeyboardInterrupt:
        print("stopped; the same command resumes", file=sys.stderr)
        return 130
    tables, left_out = gather(options.runs, wanted, options.tables)
    for name, wrong in left_out.items():
        print(f"{name} is left out: {wrong}", flush=True)
    write_figures(tables, options.out)
    return 1 if left_out or any(map(driver.missing, wanted)) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
