"""Summaries, each counted again by hand."""

from __future__ import annotations

from statistics import mean

import numpy as np
import pandas as pd
import pytest
from evidence_grid import ALL, BOTH, Cell
from evidence_summaries import (
    ensemble_during_training,
    gains,
    labels_learned,
    perturbations,
    perturbations_in_short,
    scores,
)
from evidence_tables import Tables

from psmt_viz.results import ROLES
from tests.analysis.made_up import TABLES, small
from tests.figures import synthetic


def test_gains_are_taken_on_the_same_seed():
    tables = small(seeds=(1, 2, 3))
    tables = Tables(**{name: getattr(tables, name) for name in TABLES} | {"runs": tables.runs.iloc[:-1]})
    rows = {(row["arm"], row["seed"]): row for row in tables.runs.to_dict("records")}
    expected = {
        seed: 100 * (rows["psmt", seed]["miou_ensemble"] - rows["supervised", seed]["miou_student"]) for seed in (1, 2)
    }
    found = gains(tables.runs, "psmt")
    assert found.set_index("seed")["gain"].to_dict() == pytest.approx(expected)
    line = next(line for line in scores(tables.runs).splitlines() if "| PS-MT |" in line)
    assert "nan" not in scores(tables.runs)
    assert "| all | supervised | 1 |" in scores(small(seeds=(1,), arms=BOTH[:1], split=ALL).runs)
    low, high = sorted(expected.values())
    assert line.endswith(f"| {mean(expected.values()):+.1f} ({low:+.1f} to {high:+.1f}) |")


def test_labels_learned_are_set_beside_what_was_not_seen():
    """A class that one of the parts lacks counts in neither; a run that was not scored on its labels is left out."""
    tables = small(seeds=(1, 2, 3))
    run = tables.classes["run"]
    tables.classes.loc[run == "scenes-psmt-1_8-2", "labeled_iou"] = np.nan
    tables.classes.loc[(run == "scenes-psmt-1_8-3") & (tables.classes["class"] == "car"), "labeled_iou"] = np.nan
    learned, found = [], []
    for seed in (1, 3):
        rows = [row for row in tables.classes.to_dict("records") if row["run"] == f"scenes-psmt-1_8-{seed}"]
        rows = [row for row in rows if row["role"] == "student" and (seed == 1 or row["class"] != "car")]
        assert len(rows) == (3 if seed == 1 else 2)
        learned.append(100 * mean(row["labeled_iou"] for row in rows))
        found.append(100 * mean(row["iou"] for row in rows))
    between = [a - b for a, b in zip(learned, found, strict=True)]
    cells = [f"{mean(of):.1f} ({min(of):.1f} to {max(of):.1f})" for of in (learned, found, between)]
    _, _, control, line = labels_learned(tables).splitlines()
    assert control.startswith("| scenes | 1/8 | supervised | 3 |")
    assert line == f"| scenes | 1/8 | PS-MT | 2 | {' | '.join(cells)} |"


def test_the_ensemble_above_the_student_is_counted_by_thirds():
    tables = small(seeds=(1, 2))
    counts, above = [0, 0, 0], [[], [], []]
    for row in tables.epochs.to_dict("records"):
        if "psmt" in row["run"] and row["epoch"] > 2:  # six epochs after the warm-up, two a third
            third = (row["epoch"] - 3) // 2
            difference = 100 * (row["miou_ensemble"] - row["miou_student"])
            counts[third] += difference > 0
            above[third].append(difference)
    _, _, line = ensemble_during_training(tables).splitlines()
    assert line.startswith("| scenes | 1/8 | 2 | " + " | ".join(
        f"{count} of 4, {mean(values):+.2f}" for count, values in zip(counts, above, strict=True)
    ))  # fmt: skip


def test_t_vat_minus_vat_has_a_row_a_run_and_epoch():
    paired = synthetic.flips(("vat", "tvat"), judges=ROLES, eps=(2.0, 8.0)).paired
    tables = small()
    tables = Tables(**{name: getattr(tables, name) for name in TABLES} | {"paired": paired.assign(run="r", epoch=3)})
    _, _, line = perturbations(tables).splitlines()
    assert line == "| r | 3 |" + " +0.004 (+0.001 to +0.007) |" * len(ROLES)


def test_places_where_t_vat_lies_above_or_below_are_counted():
    """Two runs at two epochs: above, below, above, and an interval that holds 0."""
    runs = [cell.name for cell in (Cell("scenes", "1_8", "psmt", seed) for seed in (1, 2))]
    places = [(runs[0], 3, 0.01), (runs[0], 9, -0.02), (runs[1], 3, 0.03), (runs[1], 9, 0.001)]
    key = {"kind": "tvat", "against": "vat", "eps": 2.0}
    paired = [
        key | {"run": run, "epoch": epoch, "judge": judge, "difference": middle}
        | {"difference_low": middle - 0.005, "difference_high": middle + 0.005}
        for run, epoch, middle in places
        for judge in ROLES
    ]  # fmt: skip
    paired += [row | {"against": "random", "difference_low": 0.5} for row in paired]
    paired += [row | {"eps": 8.0} for row in paired]
    rates = zip(places, (0.1, 0.2, 0.3, 0.4), strict=True)
    flips = [
        {"run": run, "epoch": epoch, "judge": judge, "kind": "vat", "eps": 2.0, "flip_rate": rate}
        for (run, epoch, _), rate in rates
        for judge in ROLES
    ]
    tables = small()
    measured = {"paired": pd.DataFrame(paired), "flips": pd.DataFrame(flips)}
    tables = Tables(**{name: getattr(tables, name) for name in TABLES} | measured)
    _, _, *lines = perturbations_in_short(tables).splitlines()
    values = "| 4 | 2 | 1 | 30.00 (20.00 to 40.00) | -0.9500 (-2.0000 to +0.1000) |"
    judges = ("student", "teacher 1", "teacher 2", "ensemble")
    assert lines == [f"| scenes | 2 | {judge} {values}" for judge in judges]
