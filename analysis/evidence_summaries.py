"""The evidence in numbers: short Markdown tables, each made from the tables of runs alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from evidence_grid import ALL, CONTROL, LABELS, METHOD, SPLITS
from evidence_tables import Tables

from psmt_viz.kinds import PAPER_EPS
from psmt_viz.results import ROLES
from psmt_viz.roles import role_of


def gains(runs: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Returns the mIoU of an arm's ensemble minus that of the supervised student on the same data, share and seed.

    Args:
        runs: The table of runs.
        arm: An arm with teachers; one without has no ensemble and gets no rows.

    Returns:
        dataset, split, seed and gain in points; one row per seed that both have finished.
    """
    place = ["dataset", "split", "seed"]
    control = runs.loc[runs["arm"] == CONTROL, [*place, "miou_student"]].rename(columns={"miou_student": "control"})
    both = runs.loc[runs["arm"] == arm, [*place, "miou_ensemble"]].merge(control, on=place).dropna()
    return both[place].assign(gain=100 * (both["miou_ensemble"] - both["control"]))


def scores(runs: pd.DataFrame) -> str:
    """Returns mIoU in % by data set, labelled share and arm: mean, then lowest and highest of the seeds."""
    head = ["data", "labels", "arm", "seeds", *(role_of(role).label for role in ROLES), "ensemble minus supervised"]
    rows = []
    for (dataset, split, arm), of in _in_order(runs):
        gained = gains(runs[(runs["dataset"] == dataset) & (runs["split"] == split)], arm)["gain"]
        cells = [_spread(100 * of[f"miou_{role}"].dropna(), ".1f") for role in ROLES]
        rows.append([dataset, share(split), LABELS[arm], str(len(of)), *cells, _spread(gained, "+.1f")])
    return markdown(head, rows)


def labels_learned(tables: Tables) -> str:
    """Returns the student's mIoU in % on the labelled training images and on the validation images.

    Both are means over the classes that occur in both; runs that were not scored on their labelled images have no row.
    """
    head = ["data", "labels", "arm", "seeds", "on its labelled images", "on the validation images", "points between"]
    both = tables.classes.reindex(columns=["run", "role", "iou", "labeled_iou"]).dropna()
    means = 100 * both[both["role"] == "student"].groupby("run")[["iou", "labeled_iou"]].mean()
    rows = []
    for (dataset, split, arm), of in _in_order(tables.runs[tables.runs["run"].isin(means.index)]):
        own = means.loc[of["run"]]
        spreads = [
            _spread(values, ".1f") for values in (own["labeled_iou"], own["iou"], own["labeled_iou"] - own["iou"])
        ]
        rows.append([dataset, share(split), LABELS[arm], str(len(of)), *spreads])
    return markdown(head, rows)


def ensemble_during_training(tables: Tables) -> str:
    """Returns how often and by how much the ensemble lies above the student, by third of the training after warm-up."""
    thirds = ("first third", "second third", "last third")
    head = [
        "data",
        "labels",
        "seeds",
        *thirds,
        "after the last step",
        "ensemble minus teacher 1",
        "ensemble minus teacher 2",
    ]
    rows = []
    for (dataset, split, arm), of in _in_order(tables.runs):
        if arm != METHOD:
            continue
        parts: list[list[float]] = [[], [], []]
        for run in of["run"]:
            epochs = tables.epochs[tables.epochs["run"] == run]
            after = epochs[epochs["unsup_weight"] > 0]
            above = 100 * (after["miou_ensemble"] - after["miou_student"]).to_numpy()
            for number, value in enumerate(above):
                parts[3 * number // len(above)].append(float(value))
        counted = [f"{sum(value > 0 for value in part)} of {len(part)}, {_mean(part)}" for part in parts]
        ends = [_spread(100 * (of["miou_ensemble"] - of[f"miou_{role}"]), "+.2f") for role in ROLES[:3]]
        rows.append([dataset, share(split), str(len(of)), *counted, *ends])
    return markdown(head, rows)


def perturbations(tables: Tables) -> str:
    """Returns T-VAT minus VAT at the paper's eps in points (95 % interval): one row per run and epoch, all judges."""
    head = ["run", "epoch", *(f"judged by {role_of(role).label}" for role in ROLES)]
    rows = []
    for (run, epoch), of in differences(tables).groupby(["run", "epoch"]):
        shares = 100 * of.set_index("judge")[_BOUNDS]
        rows.append(
            [str(run), str(epoch), *("{:+.3f} ({:+.3f} to {:+.3f})".format(*shares.loc[role]) for role in ROLES)]
        )
    return markdown(head, rows)


def perturbations_in_short(tables: Tables) -> str:
    """Counts the places where T-VAT differs from VAT beyond its interval, with the difference after training.

    A place is an epoch of a run; differences after training are given as mean (min to max) over the seeds.
    """
    head = [
        "data",
        "seeds",
        "judge",
        "places",
        "T-VAT above",
        "T-VAT below",
        "at the end: VAT, %",
        "T-VAT minus VAT, points",
    ]
    rows = []
    found, flips = differences(tables), with_origin(tables, tables.flips)
    for dataset, own in found.groupby("dataset"):
        for judge in ROLES:
            of = own[own["judge"] == judge]
            above, below = (of["difference_low"] > 0).sum(), (of["difference_high"] < 0).sum()
            vat = flips[(flips["dataset"] == dataset) & (flips["judge"] == judge) & (flips["kind"] == "vat")]
            ends = [_last(table) for table in (vat, of)]
            values = _spread(100 * ends[0]["flip_rate"], ".2f"), _spread(100 * ends[1]["difference"], "+.4f")
            counts = [str(count) for count in (len(of), above, below)]
            rows.append([str(dataset), str(of["run"].nunique()), role_of(judge).label, *counts, *values])
    return markdown(head, rows)


_BOUNDS = ["difference", "difference_low", "difference_high"]


def with_origin(tables: Tables, measured: pd.DataFrame) -> pd.DataFrame:
    """Adds data set and seed of the run to each row of measurements."""
    return measured.merge(tables.runs[["run", "dataset", "seed"]], on="run", how="left")


def differences(tables: Tables) -> pd.DataFrame:
    """Returns T-VAT minus VAT at the paper's eps, with data set and seed: one row per run, epoch and judge."""
    paired = tables.paired.reindex(columns=["run", "epoch", "judge", "kind", "against", "eps", *_BOUNDS])
    chosen = (paired["kind"] == "tvat") & (paired["against"] == "vat") & (paired["eps"] == PAPER_EPS)
    return with_origin(tables, paired[chosen])


def _last(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["epoch"] == table.groupby("run")["epoch"].transform("max")]


def share(split: str) -> str:
    """Returns the displayed form of a split: 1_8 as 1/8, full as all."""
    return "all" if split == ALL else split.replace("_", "/")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _in_order(runs: pd.DataFrame) -> list[tuple[tuple[str, str, str], pd.DataFrame]]:
    """Runs by data set, labelled share and arm, in the grid's order."""
    if not len(runs):
        return []
    groups = {(str(a), str(b), str(c)): of for (a, b, c), of in runs.groupby(["dataset", "split", "arm"])}
    arms = list(LABELS)
    return sorted(groups.items(), key=lambda group: (group[0][0], SPLITS.index(group[0][1]), arms.index(group[0][2])))


def _spread(values: pd.Series, form: str) -> str:
    if not len(values):
        return ""
    mean, low, high = (format(value, form) for value in (values.mean(), values.min(), values.max()))
    return mean if len(values) == 1 else f"{mean} ({low} to {high})"


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):+.2f}" if values else "-"
