"""The evidence's figures, each drawn from the tables alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd
from evidence_grid import LABELS, METHOD, RATIOS
from evidence_summaries import (
    differences,
    ensemble_during_training,
    gains,
    labels_learned,
    perturbations,
    perturbations_in_short,
    scores,
    share,
    with_origin,
)
from evidence_tables import Tables
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from psmt_viz.figures import draw_miou, draw_teachers, export_png, figure_of, style, write
from psmt_viz.figures.epochs import name_looks
from psmt_viz.figures.kinds import look
from psmt_viz.figures.style import DOUBLE, SINGLE, new_figure, plain, shade
from psmt_viz.files import write_text
from psmt_viz.results import Curves, ScoreTable
from psmt_viz.roles import role_of

SHOWN = "1_8"
"""The labelled share that was trained on every data set."""


def write_figures(tables: Tables, out: Path) -> None:
    """Writes every figure and table of the evidence for which there are measurements."""
    out.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Axes | Figure] = {}
    datasets = list(tables.runs["dataset"].unique())
    for dataset in datasets:
        for figure, labels in (("fig3b", {METHOD: LABELS[METHOD]}), ("arms", LABELS)):
            if curves := tables.curves(dataset, SHOWN, labels):
                drawn[f"{figure}_{dataset.replace(' ', '_')}"] = draw_miou(curves)
    if named := [curves for dataset in datasets for curves in tables.curves(dataset, SHOWN, {METHOD: dataset})]:
        drawn["teachers"] = draw_teachers(named)
    if len(gained := gains(tables.runs, METHOD)):
        everyone = [Curves(name=dataset, metrics=pd.DataFrame(), ramp={}) for dataset in datasets]
        drawn["gain"] = draw_gain(gained, name_looks(everyone))
    if len(tables.flips):
        drawn["flips"] = draw_flips_through_training(tables)
    for name, artist in drawn.items():
        export_png(figure_of(artist), out / f"{name}.png", {"exhibit": name, "tables": "runs, epochs, flips, paired"})
    write(ScoreTable.of(tables.scores()), out)
    texts = {
        "scores": scores(tables.runs),
        "labels_learned": labels_learned(tables),
        "ensemble": ensemble_during_training(tables),
        "perturbations": perturbations_in_short(tables),
        "perturbations_by_epoch": perturbations(tables),
    }
    for name, text in texts.items():
        write_text(out / f"{name}.md", text)


def draw_gain(gained: pd.DataFrame, looks: Mapping[str, dict[str, Any]]) -> Figure:
    """Draws what PS-MT gains over the supervised control, by labelled share: one line per data set, one point per seed.

    Args:
        gained: dataset, split, seed and gain in points, as `gains` returns them.
        looks: Data set -> colour and marker, the same in all figures of several data sets.
    """
    with style():
        figure = new_figure(SINGLE, 60)
        ax = figure.add_subplot()
        ax.axhline(0, color=shade(0.6), linewidth=0.6)
        groups = list(gained.groupby("dataset", sort=False))
        for number, (dataset, of) in enumerate(groups):
            color, marker = looks[str(dataset)]["color"], looks[str(dataset)].get("marker", "o")
            aside = 0.12 * (number - (len(groups) - 1) / 2)  # or data sets would hide each other's points
            means = of.groupby("split")["gain"].mean()
            shares = [split for split in RATIOS if split in means.index]
            places = [RATIOS.index(split) + aside for split in shares]
            ax.plot(places, means[shares], color=color, marker=marker, label=plain(dataset))
            own = [RATIOS.index(split) + aside for split in of["split"]]
            ax.scatter(own, of["gain"], s=9, marker=marker, facecolors="none", edgecolors=color, linewidths=0.6)
        ax.set_xticks(range(len(RATIOS)), [share(split) for split in RATIOS])
        ax.set_xlim(-0.4, len(RATIOS) - 0.6)
        ax.set(
            xlabel="labelled share of the training images", ylabel="PS-MT's ensemble minus supervised\n(points of mIoU)"
        )
        ax.grid(axis="y")
        ax.legend(title="mean, and each seed")
    return figure


def draw_flips_through_training(tables: Tables) -> Figure:
    """Draws flips by kind of perturbation, and T-VAT minus VAT for two judges, over training; one column per data set.

    Args:
        tables: Flips are drawn as mean and range over seeds; differences of each seed with its own interval.
    """
    flips, paired = with_origin(tables, tables.flips), differences(tables)
    datasets = list(flips["dataset"].unique())
    with style():
        figure = new_figure(DOUBLE, 114.4)
        grid = figure.subplots(3, len(datasets), sharex="col", sharey="row", squeeze=False)
        rows = cast(list[list[Axes]], grid.tolist())
        for column, dataset in enumerate(datasets):
            rows[0][column].set_title(plain(dataset))
            own = flips[(flips["dataset"] == dataset) & (flips["judge"] == "student")]
            _draw_kinds(rows[0][column], own)
            for ax, judge in zip((row[column] for row in rows[1:]), ("student", "ensemble"), strict=True):
                _draw_difference(ax, paired[(paired["dataset"] == dataset) & (paired["judge"] == judge)])
        rows[0][0].set_ylabel("correct pixels\nflipped (%)")
        for (first, *_), judge in zip(rows[1:], ("student", "ensemble"), strict=True):
            first.set_ylabel(f"T-VAT minus VAT\n(points)\n{role_of(judge).label} judges")
        for ax in rows[-1]:
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        handles, labels = rows[0][0].get_legend_handles_labels()
        title = "above: mean and range of the seeds; below: each seed with its 95 % interval over images"
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), title=title)
    return figure


def _draw_kinds(ax: Axes, flips: pd.DataFrame) -> None:
    for kind, of in flips.groupby("kind", sort=False):
        how = look(str(kind))
        band = (100 * of.set_index("epoch")["flip_rate"]).groupby(level="epoch").agg(["mean", "min", "max"])
        ax.plot(band.index, band["mean"], color=how.color, marker=how.marker, label=how.title)
        ax.fill_between(band.index, band["min"], band["max"], color=how.color, alpha=0.2, linewidth=0)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")


def _draw_difference(ax: Axes, paired: pd.DataFrame) -> None:
    how = look("tvat")
    ax.axhline(0, color=shade(0.6), linewidth=0.6)
    for number, (_, of) in enumerate(paired.groupby("seed")):
        middle, low, high = (100 * of[f"difference{end}"] for end in ("", "_low", "_high"))
        places = of["epoch"] + 0.2 * (number - 1)
        ax.errorbar(places, middle, [middle - low, high - middle], color=how.color, marker="od^"[number % 3],
                    markersize=2.5, linewidth=0.7, elinewidth=0.7)  # fmt: skip
    # Large after the warm-up, small at the end: a linear axis would show the first alone.
    ax.set_yscale("symlog", linthresh=0.01)
    ax.set_yticks([-1, -0.1, -0.01, 0, 0.01, 0.1, 1])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
