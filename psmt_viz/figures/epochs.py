"""Lines over epochs: a run alone, or the mean of several seeds in a band. Every figure of training is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from psmt_viz.figures.style import line_colors, plain, role_color, shade
from psmt_viz.results import Curves


def by_name(runs: Sequence[Curves]) -> dict[str, list[Curves]]:
    """Returns the runs of each name, which are one experiment under several seeds, in the order given."""
    groups: dict[str, list[Curves]] = {}
    for run in runs:
        groups.setdefault(run.name, []).append(run)
    return groups


def name_looks(runs: Sequence[Curves]) -> dict[str, dict[str, Any]]:
    """Returns the colour of each name, and where there are several its marker, alike in every figure of these runs."""
    names = list(by_name(runs))
    colors = dict(zip(names, cycle((role_color("student"), *line_colors())), strict=False))
    if len(names) == 1:
        return {name: {"color": color} for name, color in colors.items()}
    # Markers begin at different places, or lines that lie upon each other would hide each other's.
    return {
        name: {"color": color, "marker": marker, "markevery": (0.03 * (number % 5), 0.15)}
        for number, ((name, color), marker) in enumerate(zip(colors.items(), cycle("os^DvPX"), strict=False))
    }


def over_seeds(runs: Sequence[Curves], column: str, *, scale: float = 1) -> pd.DataFrame:
    """Returns mean, min, max and count of a column over runs, by epoch; without rows where none has it.

    Args:
        runs: Those of one name; one in which the column is missing or empty does not count.
        column: Of metrics.csv.
        scale: What to multiply by.
    """
    tables = [run.metrics[["epoch", column]].dropna() for run in runs if column in run.metrics]
    table = pd.concat([pd.DataFrame({"epoch": [], column: []}, dtype=float), *tables])
    found = (scale * table.set_index("epoch")[column]).groupby(level="epoch")
    return found.agg(["mean", "min", "max", "count"])


def images_seen(runs: Sequence[Curves]) -> pd.Series:
    """Returns the images seen by the end of each epoch, each step a whole one, those of the warm-up too.

    Empty where they are not known, or runs differ in an epoch or in the images of a step.
    """
    nothing, found = pd.Series(dtype=float), dict[float, float]()
    measured = [run for run in runs if len(run.metrics)]
    if len({run.images_per_step for run in measured}) != 1:
        return nothing
    for run in measured:
        if not run.images_per_step or "step" not in run.metrics:
            return nothing
        for epoch, step in zip(run.metrics["epoch"], run.metrics["step"], strict=True):
            images = float(step) * run.images_per_step
            if found.setdefault(float(epoch), images) != images:
                return nothing
    return pd.Series(found).sort_index()


def draw_over(ax: Axes, found: pd.DataFrame, *, label: str, look: dict[str, Any], band: bool = True) -> None:
    """Draws what `over_seeds` returned: the mean, and where there are several runs a band from lowest to highest."""
    if found.empty:
        return
    if len(found) == 1:
        # A line of one point would not be seen without a marker.
        look = {"marker": "o"} | look | {"markevery": None}
    ax.plot(found.index, found["mean"], label=label, **look)
    if band and found["count"].max() > 1:
        ax.fill_between(found.index, found["min"], found["max"], color=look["color"], alpha=0.22, linewidth=0)


def named(name: str, runs: int) -> str:
    """Returns a name for a legend, in lines that fit into 84 mm, with how many seeds its line is the mean of."""
    return plain(fill(f"{name} ({runs} seeds)" if runs > 1 else name, 52))


def legend_height(runs: Sequence[Curves], entries: int = 1) -> float:
    """Returns the height in mm of the legend that `legend_below` adds, with some entries of each of several names."""
    groups = by_name(runs)
    rows = [named(name, len(group)).count("\n") + 1 for name, group in groups.items()]
    return 3.6 * sum(rows) * entries if len(groups) > 1 else 0


def legend_below(ax: Axes) -> None:
    """Adds a legend below the axes and their label, where names of any length and number hide no line."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    place = ax.transAxes + ScaledTranslation(0, -24 / 72, figure.dpi_scale_trans)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=place, handlelength=2.6)


def label_epochs(ax: Axes) -> None:
    """Labels the x axis with whole epochs."""
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def say_not_measured(ax: Axes) -> None:
    """Writes into empty axes why they are, in place of a scale."""
    ax.yaxis.set_visible(False)
    ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", color=shade(0.5))
