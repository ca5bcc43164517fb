"""What does PS-MT bring over training on the labels alone, at equal steps, views and batch of labelled images?

Claim:    val mIoU of supervised on a share of the labels < PS-MT on the same (< supervised on all labels, on `scenes`).
Command:  python analysis/compare.py scenes --seeds 0 1 2
          python analysis/compare.py voc_mini --data DIR --seeds 0
Cost:     on 2 cores, `scenes` 10 minutes a seed, voc_mini 60 minutes a seed on an idle machine; stopped at any time, it
          goes on where it was.
Expected: analysis/results/compare.csv, one row a finished run, and the summary printed at the end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from psmt_viz.results import ROLES, Evaluation, read_csv, write_csv
from psmt_viz.runs import Run

Arm = tuple[str, str, str]
"""Method, recipe and split."""
SUPERVISED, PSMT = ("supervised", "supplement", "1_8"), ("psmt", "supplement", "1_8")
ARMS: dict[str, list[Arm]] = {
    "scenes": [SUPERVISED, PSMT, ("supervised", "supplement", "full")],
    "voc_mini": [SUPERVISED, PSMT],
    "camvid": [SUPERVISED, PSMT],
}
RUNS = Path("runs/compare")
TABLE = Path(__file__).parent / "results" / "compare.csv"
KEY = ["preset", "method", "recipe", "split", "seed"]


def folder(preset: str, arm: Arm, seed: int) -> Path:
    """Returns the run folder of an arm and seed."""
    return RUNS / "-".join([preset, *arm, str(seed)])


def train(preset: str, arm: Arm, seed: int, options: argparse.Namespace) -> None:
    """Trains an arm with a seed, or goes on with it; does nothing if it is finished."""
    method, recipe, split = arm
    flags = ["--preset", preset, "--method", method, "--recipe", recipe, "--split", split, "--seed", str(seed)]
    flags += ["--out", str(folder(preset, arm, seed)), "--resume", "--device", options.device]
    flags += ["--data", options.data] if options.data else []
    threads = {"OMP_NUM_THREADS": str(options.threads)}
    subprocess.run([sys.executable, "-m", "psmt_viz.cli", "train", *flags], check=True, env=os.environ | threads)


def row(path: Path) -> dict[str, object]:
    """Returns a finished run as a row: settings, steps, hours and the scores after the last step; no best is picked."""
    run = Run.open(path)
    config = run.config
    settings = (config.preset, config.method.method, config.recipe, config.data.split, config.system.seed)
    scores = Evaluation.load(path).table().set_index("role")["miou"]
    return {
        **dict(zip(KEY, settings, strict=True)),
        "backbone": config.model.backbone,
        "steps": run.plan["total_steps"],
        "hours": round(read_csv(path / "timing.csv")["seconds"].sum() / 3600, 3),
        **{f"miou_{role}": value for role, value in scores.items()},
    }


def collect(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Returns the table with some rows added, each in place of an earlier one of the same settings and seed."""
    before = [read_csv(TABLE)] if TABLE.is_file() else []
    table = pd.concat([*before, pd.DataFrame(rows)], ignore_index=True)
    return table.drop_duplicates(KEY, keep="last").sort_values(KEY, ignore_index=True)


def main() -> None:
    """Trains what is missing and adds it to the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=ARMS)
    parser.add_argument("--data", help="the folder of images, for every preset but scenes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--train-only", action="store_true", help="several processes can share the seeds")
    options = parser.parse_args()
    runs = [(arm, seed) for seed in options.seeds for arm in ARMS[options.preset]]
    for arm, seed in runs:
        train(options.preset, arm, seed, options)
    if options.train_only:
        return
    table = collect([row(folder(options.preset, arm, seed)) for arm, seed in runs])
    TABLE.parent.mkdir(exist_ok=True)
    write_csv(TABLE, table)
    scores = [f"miou_{role}" for role in ROLES if f"miou_{role}" in table]
    summary = table.groupby(KEY[:-1])[scores].agg(["mean", "min", "max", "count"])
    summary.loc[:, (slice(None), ["mean", "min", "max"])] *= 100
    print(summary.T.unstack().to_string(float_format="{:.2f}".format, na_rep="-"))


if __name__ == "__main__":
    main()
