"""Do labels matter on `scenes`, and does PS-MT make up for missing ones?

Claim:    val mIoU of supervised on 1/8 of the labels < PS-MT on the same < supervised on all labels, at equal steps.
Command:  python analysis/scenes_order.py --seeds 0 1 2
Cost:     about 10 minutes a seed on 2 cores; stopped at any time, it goes on where it was.
Expected: analysis/results/scenes_order.csv, one row an arm and seed, and the summary printed at the end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from psmt_viz.results import Evaluation, write_csv

ARMS = {
    "supervised 1_8": ["--method", "supervised", "--split", "1_8"],
    "psmt 1_8": ["--method", "psmt", "--split", "1_8"],
    "supervised full": ["--method", "supervised", "--split", "full"],
}
RUNS = Path("runs/scenes_order")
TABLE = Path(__file__).parent / "results" / "scenes_order.csv"


def folder(arm: str, seed: int) -> Path:
    """Returns the run folder of an arm and seed."""
    return RUNS / f"{arm.replace(' ', '-')}-{seed}"


def train(arm: str, seed: int, threads: int) -> None:
    """Trains an arm with a seed, or goes on with it; does nothing if it is finished."""
    run = ["--out", str(folder(arm, seed)), "--resume"]
    command = [sys.executable, "-m", "psmt_viz.cli", "train", "--preset", "scenes", "--seed", str(seed)]
    subprocess.run([*command, *ARMS[arm], *run], check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})


def collect(seeds: list[int]) -> pd.DataFrame:
    """Returns one row an arm and seed: arm, seed, miou_<role>; the best single figure of a run is not picked."""
    rows = []
    for arm in ARMS:
        for seed in seeds:
            scores = Evaluation.load(folder(arm, seed)).table().set_index("role")["miou"]
            rows.append({"arm": arm, "seed": seed, **{f"miou_{role}": value for role, value in scores.items()}})
    return pd.DataFrame(rows)


def main() -> None:
    """Trains what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--train-only", action="store_true", help="several processes can share the seeds")
    options = parser.parse_args()
    for seed in options.seeds:
        for arm in ARMS:
            train(arm, seed, options.threads)
    if options.train_only:
        return
    table = collect(options.seeds)
    TABLE.parent.mkdir(exist_ok=True)
    write_csv(TABLE, table)
    summary = table.groupby("arm", sort=False).agg(["mean", "min", "max"]).drop(columns="seed", level=0).mul(100)
    print(summary.T.unstack().to_string(float_format="{:.2f}".format, na_rep="-"))


if __name__ == "__main__":
    main()
