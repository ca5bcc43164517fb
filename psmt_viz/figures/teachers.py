"""How alike the two teachers become: their weights, and what they predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psmt_viz.figures.epochs import (
    by_name,
    draw_over,
    label_epochs,
    legend_below,
    legend_height,
    name_looks,
    named,
    over_seeds,
    say_not_measured,
)
from psmt_viz.figures.logzero import floor_of, label_axis
from psmt_viz.figures.style import DOUBLE, new_figure, require, style
from psmt_viz.results import Curves
from psmt_viz.results.columns import column

COLUMNS = ("teacher_distance", "teacher_disagreement")
"""What is measured of two teachers, a panel each."""


def is_measured(run: Curves) -> bool:
    """Returns whether a run says anything of how alike its teachers are."""
    return bool(run.metrics.reindex(columns=list(COLUMNS)).notna().any(axis=None))


def draw_teachers(runs: Sequence[Curves]) -> Figure:
    """Draws the distance of the two teachers' weights, and the share of pixels on which they disagree, over the epochs.

    Runs of one name (seeds) become one line, their mean, in a band from the lowest to the highest. The distance is
    measured at the end of each epoch; the disagreement over the steps of each epoch after the warm-up.

    Args:
        runs: One or several runs; one whose columns `teacher_distance` and `teacher_disagreement` are missing or empty
            has no line.

    Returns:
        A figure 174 mm wide; a panel that no run has anything for says so.

    Raises:
        UserError: if no run has either.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement
    section 3, where the teachers are said to converge to the same minimum.
    """
    found = {name: _bands(runs, name) for name in COLUMNS}
    expected, fix = "runs whose two teachers were compared", "choose a run with teachers, trained beyond its warm-up"
    require(any(map(len, found.values())), expected, "none", fix)
    with style():
        looks = name_looks(runs)
        figure = new_figure(DOUBLE, 58 + legend_height(runs))
        panels = figure.subplots(1, 2, sharex=True)
        for ax, name in zip(panels, COLUMNS, strict=True):
            ax.set_title(column(name).text)
            label_epochs(ax)
            _draw_panel(ax, found[name], looks)
    return figure


def _bands(runs: Sequence[Curves], name: str) -> dict[str, pd.DataFrame]:
    """Run's name -> the column over its seeds, in %, of the runs that have it."""
    bands = {run: over_seeds(group, name, scale=column(name).scale) for run, group in by_name(runs).items()}
    return {run: band for run, band in bands.items() if len(band)}


def _draw_panel(ax: Axes, bands: dict[str, pd.DataFrame], looks: dict[str, dict[str, Any]]) -> None:
    if not bands:
        say_not_measured(ax)
        return
    alone = len(looks) == 1
    values = pd.concat(bands).drop(columns="count")
    floor = floor_of(values)
    for name, band in bands.items():
        count = band["count"].max()
        label = f"mean and range of {count} seeds" if alone else named(name, count)
        draw_over(ax, band.where(band > 0, floor), label=label, look={**looks[name], "linewidth": 1.4})
    label_axis(ax.yaxis, floor, zero=bool((values == 0).any(axis=None)))
    if not alone:
        legend_below(ax)
    elif count > 1:
        ax.legend(loc="best")
