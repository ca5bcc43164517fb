"""Fig. 3 and the pictures of a run: the ramp-up, the scores and everything else that is measured each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from psmt_viz.figures.style import (
    DOUBLE,
    LINE_COLORS,
    ROLE_COLORS,
    ROLE_LABELS,
    ROLE_LINES,
    drawing_on,
    new_figure,
    plain,
    require,
    style,
)
from psmt_viz.results import ROLES, Curves
from psmt_viz.schedules import Ramp, ramp_up

_OTHER: dict[str, Ramp] = {"gaussian": "cosine", "cosine": "gaussian"}
_FORMS = {"gaussian": "Gaussian (paper)", "cosine": "cosine (published code)"}


def draw_ramp_up(curves: Curves, *, ax: Axes | None = None) -> Axes:
    """Draws the weight of the unsupervised loss over a run's iterations, and the other published form thinly.

    Args:
        curves: The run; its ramp says which form, how long and how high.
        ax: Axes to draw on; without, a new figure 84 mm wide.

    Returns:
        The axes drawn on.

    Raises:
        UserError: if the run is supervised and has no ramp.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement
    Fig. 3(a).
    """
    ramp = curves.ramp
    require(bool(ramp), "a run with an unsupervised loss", f"the supervised run {curves.name}", "choose another run")
    length, weight, kind = int(ramp["length"]), float(ramp["final_weight"]), ramp["kind"]
    total = max(int(ramp["total_steps"]), 1)
    # The end of the ramp is a step of its own, so that its corner is where it belongs.
    steps = np.unique(np.r_[np.linspace(0, total, 600).astype(int), min(length, total)])
    with drawing_on(ax, height=56) as axes:
        looks: tuple[tuple[Ramp, dict[str, Any]], ...] = (
            (_OTHER[kind], {"color": "0.45", "linewidth": 0.7, "linestyle": (0, (5, 2))}),
            (kind, {"color": ROLE_COLORS["student"], "linewidth": 1.4}),
        )
        for form, look in looks:
            values = [weight * ramp_up(int(step), length, kind=form) for step in steps]
            axes.plot(steps, values, label=_FORMS[form] if form == kind else f"{_FORMS[form]}, not used", **look)
        if 0 < length <= total:
            axes.axvline(length, color="0.75", linewidth=0.6, zorder=0)
            axes.annotate(f" {length:,}", (length, 0), xycoords=("data", "axes fraction"), color="0.4", fontsize=6,
                        xytext=(0, 2), textcoords="offset points", va="bottom")  # fmt: skip
        axes.set_xlim(0, total)
        axes.set_ylim(0, weight * 1.05 or 1)
        axes.set_xlabel("iteration after warm-up")
        axes.set_ylabel("unsupervised weight β")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        # The ramp rises from the lower left, so the free corner is known.
        handles, labels = axes.get_legend_handles_labels()
        # On white, because the line that marks the ramp's end may pass behind it.
        box = axes.legend(handles[::-1], labels[::-1], loc="lower right", bbox_to_anchor=(1, 0.08), frameon=True)
        box.get_frame().set(facecolor="white", edgecolor="none", alpha=1)
    return axes


def draw_miou(runs: Sequence[Curves], *, ax: Axes | None = None) -> Axes:
    """Draws the validation mIoU of ensemble and student over the epochs.

    Runs of one name (seeds) become one line, their mean, in a band from the lowest to the highest; a mean over fewer
    runs stands where some are shorter. One name: each role has its colour, and the single teachers are thin lines
    without a band. Several names: each name has its colour, the roles keep their line styles, and the single teachers
    are left out.

    Args:
        runs: One or several runs; a role whose column is empty or missing is left out.
        ax: Axes to draw on; without, a new figure 84 mm wide.

    Returns:
        The axes drawn on.

    Raises:
        UserError: if there are no scores.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement
    Fig. 3(b).
    """
    names = list(dict.fromkeys(run.name for run in runs))
    with drawing_on(ax, height=60) as axes:
        for name, color in zip(names, cycle((ROLE_COLORS["student"], *LINE_COLORS)), strict=False):
            tables = [run.metrics for run in runs if run.name == name]
            alone = len(names) == 1
            for role in reversed(ROLES) if alone else ("ensemble", "student"):
                thin = role.startswith("teacher")
                label = ROLE_LABELS[role] if alone else f"{plain(name)}, {ROLE_LABELS[role]}"
                look = {
                    "color": ROLE_COLORS[role] if alone else color,
                    "linestyle": ROLE_LINES[role],
                    "linewidth": 0.7 if thin else 1.4,
                    "zorder": 2 + 0.1 * ROLES.index(role) - thin,
                }
                _draw_band(axes, tables, f"miou_{role}", label=label, look=look, band=not thin)
        require(bool(axes.lines), "runs with scores", "none", "train for at least one epoch, or choose another run")
        _label_epochs(axes)
        axes.set_ylabel("validation mIoU (%)")
        axes.grid(axis="y")
        axes.legend(loc="lower right", handlelength=2.6)
    return axes


def draw_training(curves: Curves) -> Figure:
    """Draws everything that a run measured after each epoch, in four small panels.

    Args:
        curves: The run; one epoch is enough, and what was not measured is left out.

    Returns:
        A figure 174 mm wide.
    """
    table = curves.metrics
    with style():
        figure = new_figure(DOUBLE, 105)
        losses, weights, confident, scores = figure.subplots(2, 2, sharex=True).flat
        blue, orange = ROLE_COLORS["student"], ROLE_COLORS["ensemble"]

        _draw_line(losses, table, "loss_sup", label="supervised", look={"color": blue})
        _draw_line(losses, table, "loss_unsup", label="unsupervised", look={"color": orange, "linestyle": "--"})
        _finish(losses, "loss")

        _draw_line(weights, table, "unsup_weight", label="unsupervised weight", look={"color": orange})
        rates = weights.twinx()
        _draw_line(rates, table, "learning_rate", label="learning rate", look={"color": blue, "linestyle": "--"})
        for ax, color, text in ((weights, orange, "unsupervised weight β"), (rates, blue, "learning rate")):
            ax.set_ylabel(text, color=color)
            ax.tick_params(axis="y", colors=color)
            ax.set_ylim(bottom=0)
            if not ax.lines:
                ax.yaxis.set_visible(False)
        rates.set_ylim(top=1.25 * rates.get_ylim()[1])  # or the first points of both would lie upon each other
        rates.spines["right"].set_visible(bool(rates.lines))
        rates.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        weights.set_title("weight and learning rate")

        _draw_line(confident, table, "confident_fraction", label="", look={"color": orange}, scale=100)
        confident.set_ylim(-2, 102)
        _finish(confident, "confident pixels (%)")

        for role in ROLES:
            look = {"color": ROLE_COLORS[role], "linestyle": ROLE_LINES[role]}
            look["linewidth"] = 0.7 if role.startswith("teacher") else 1.4
            _draw_line(scores, table, f"miou_{role}", label=ROLE_LABELS[role], look=look, scale=100)
        _finish(scores, "validation mIoU (%)")
        for ax in (confident, scores):
            _label_epochs(ax)
        if len(table) == 1:
            scores.set_xlim(table["epoch"].iloc[0] - 1, table["epoch"].iloc[0] + 1)
        figure.suptitle(plain(curves.name))
    return figure


def _draw_band(
    ax: Axes, tables: Sequence[pd.DataFrame], column: str, *, label: str, look: dict[str, Any], band: bool
) -> None:
    """Draws the mean over runs in percent, with a band from lowest to highest where there are several."""
    present = [table[["epoch", column]].dropna() for table in tables if column in table]
    present = [table for table in present if len(table)]
    if not present:
        return
    scores = 100 * pd.concat(present).groupby("epoch")[column].agg(["mean", "min", "max"])
    ax.plot(scores.index, scores["mean"], label=label, marker=_marker(len(scores)), **look)
    if band and len(present) > 1:
        ax.fill_between(scores.index, scores["min"], scores["max"], color=look["color"], alpha=0.18, linewidth=0)


def _draw_line(
    ax: Axes, table: pd.DataFrame, column: str, *, label: str, look: dict[str, Any], scale: float = 1
) -> None:
    measured = table[["epoch", column]].dropna() if column in table else table.iloc[:0]
    if len(measured):
        ax.plot(measured["epoch"], scale * measured[column], label=label, marker=_marker(len(measured)), **look)


def _marker(points: int) -> str | None:
    """Returns a marker for a line of one point, which would not be seen without."""
    return "o" if points == 1 else None


def _finish(ax: Axes, title: str) -> None:
    ax.set_title(title)
    ax.grid(axis="y")
    if not ax.lines:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", va="center", color="0.5")
    elif ax.get_legend_handles_labels()[1]:
        ax.legend(loc="best", handlelength=2.6)


def _label_epochs(ax: Axes) -> None:
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
