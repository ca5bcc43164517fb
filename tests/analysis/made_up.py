"""Tables of runs that never were, and a driver that has nothing to do."""

from __future__ import annotations

import argparse
from dataclasses import fields
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from evidence_driver import Driver
from evidence_grid import BOTH, Cell
from evidence_tables import Tables

from psmt_viz.results import ROLES

TABLES = [field.name for field in fields(Tables)]


def small(seeds=(1, 2), arms=BOTH, split="1_8", dataset="scenes", seed=0) -> Tables:
    """Tables of runs that never were, with scores drawn at random."""
    rng = np.random.default_rng(seed)
    rows, classes, epochs = [], [], []
    for arm in arms:
        for number in seeds:
            roles = ROLES if arm != "supervised" else ROLES[:1]
            row = {"run": Cell(dataset, split, arm, number).name, "dataset": dataset, "split": split, "arm": arm}
            row |= {"seed": number, "method": "supervised" if arm == "supervised" else "psmt"}
            row |= {"batch_labeled": 8, "batch_unlabeled": 8, "parts": 1, "images": "0a"}
            rows.append(row | {f"miou_{role}": rng.uniform(0.3, 0.6) if role in roles else np.nan for role in ROLES})
            for role, name in product(roles, ("sky", "road", "car")):
                scores = dict(zip(("iou", "labeled_iou"), rng.uniform(0.3, 0.9, 2), strict=True))
                classes.append({"run": row["run"], "role": role, "class": name} | scores)
            for epoch in range(1, 9):
                values = {f"miou_{role}": rng.uniform(0.3, 0.6) if role in roles else np.nan for role in ROLES}
                weight = 0.1 * max(0, epoch - 2) if arm != "supervised" else np.nan
                epochs.append({"run": row["run"], "epoch": epoch, "step": 50 * epoch, "unsup_weight": weight} | values)
    none = pd.DataFrame({"run": []})
    frames = {"runs": pd.DataFrame(rows), "classes": pd.DataFrame(classes), "epochs": pd.DataFrame(epochs)}
    return Tables(**frames, flips=none, paired=none)


def driver(folder: Path, **changed) -> Driver:
    options = {"preset": "scenes", "data": None, "runs": folder, "device": "cpu", "jobs": 2, "threads": 1} | changed
    return Driver(argparse.Namespace(**options))
