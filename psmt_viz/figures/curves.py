"""Fig. 3 and the pictures of a run: the ramp-up, the scores and everything else that is measured each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from psmt_viz.figures.curves_words import fall_after_warmup
from psmt_viz.figures.epochs import (
    by_name,
    draw_over,
    images_seen,
    label_epochs,
    legend_below,
    legend_height,
    name_looks,
    named,
    over_seeds,
    say_not_measured,
)
from psmt_viz.figures.style import (
    DOUBLE,
    drawing_on,
    new_figure,
    plain,
    require,
    role_color,
    role_line,
    shade,
    style,
)
from psmt_viz.figures.teachers import draw_teachers, is_measured
from psmt_viz.results import Curves, Training
from psmt_viz.results.columns import MIOU, column, scored_roles
from psmt_viz.roles import STUDENT, leading, role_of
from psmt_viz.schedules import Ramp, ramp_up

_OTHER: dict[str, Ramp] = {"gaussian": "cosine", "cosine": "gaussian"}
_WIDE, _THIN = 1.4, 0.7
"""Widths of a line in pt: of what a run stands for, and of the single teachers of an ensemble."""
_WITH_LEGEND = ("loss", "miou")
FORMS: dict[Ramp, str] = {"gaussian": "Gaussian (paper)", "cosine": "cosine (published code)"}
"""The published forms of the ramp-up, named."""


def figures(result: Training) -> dict[str, Axes | Figure]:
    """Returns the figures by the stem of their files: scores, and where measured the ramp-up and the teachers."""
    drawn: dict[str, Axes | Figure] = {"fig3b_miou": draw_miou(result.runs)}
    if result.ramped is not None:
        drawn["fig3a_rampup"] = draw_ramp_up(result.ramped)
    if any(is_measured(run) for run in result.runs):
        drawn["teachers"] = draw_teachers(result.runs)
    return drawn


def ramp_lines(curves: Curves, points: int) -> tuple[NDArray[np.int64], dict[Ramp, list[float]]]:
    """Returns iterations after the warm-up, and the weight that each published form has there.

    Args:
        curves: A run with a ramp-up.
        points: How many iterations; where the ramp ends is one more, so that its corner is where it belongs.
    """
    length, weight = int(curves.ramp["length"]), float(curves.ramp["final_weight"])
    total = max(int(curves.ramp["total_steps"]), 1)
    steps = np.unique(np.r_[np.linspace(0, total, points).astype(int), min(length, total)])
    return steps, {form: [weight * ramp_up(int(step), length, kind=form) for step in steps] for form in FORMS}


def roles_of(runs: Sequence[Curves]) -> list[str]:
    """Returns the roles that one of some runs has scores of."""
    return scored_roles(str(name) for run in runs for name in run.metrics.dropna(axis="columns", how="all"))


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
    steps, values = ramp_lines(curves, 600)
    with drawing_on(ax, height=56) as axes:
        looks: tuple[tuple[Ramp, dict[str, Any]], ...] = (
            (_OTHER[kind], {"color": shade(0.45), "linewidth": 0.7, "linestyle": (0, (5, 2))}),
            (kind, {"color": role_color(STUDENT), "linewidth": _WIDE}),
        )
        for form, look in looks:
            label = FORMS[form] if form == kind else f"{FORMS[form]}, not used"
            axes.plot(steps, values[form], label=label, **look)
        if 0 < length <= total:
            axes.axvline(length, color=shade(0.75), linewidth=0.6, zorder=0)
            axes.annotate(f" {length:,}", (length, 0), xycoords=("data", "axes fraction"), color=shade(0.4), fontsize=6,
                        xytext=(0, 2), textcoords="offset points", va="bottom")  # fmt: skip
        axes.set_xlim(0, total)
        axes.set_ylim(0, weight * 1.05 or 1)
        axes.set_xlabel("iteration after warm-up")
        axes.set_ylabel("unsupervised weight β")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        # Above, because a long ramp may pass through every corner.
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, handlelength=2.6)
    return axes


def draw_miou(runs: Sequence[Curves], *, ax: Axes | None = None) -> Axes:
    """Draws the validation mIoU of student, single teachers and ensemble over the epochs, and over images above.

    Runs of one name (seeds) become one line, their mean, in a band from the lowest to the highest; a mean over fewer
    runs stands where some are shorter. One name: each role has its colour, and the single teachers are thin lines
    without a band. Several names: each name has its colour, the roles keep their line styles, and the single teachers
    are left out. The axis of images counts every step as a whole one, those of the warm-up too; it is left out where
    the images of a step are not known or runs differ in them. A fall of a single run's ensemble after the warm-up is
    named where it is (see `psmt_viz.figures.curves_words`).

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
    groups = by_name(runs)
    alone = len(groups) == 1
    with drawing_on(ax, height=64 + legend_height(runs, entries=2)) as axes:
        counts, looks = [], name_looks(runs)
        for name, group in groups.items():
            roles = roles_of(group)
            for place, role in reversed([*enumerate(roles)]):
                thin = role not in leading(roles)
                if thin and not alone:
                    continue
                scores = over_seeds(group, f"{MIOU}{role}", scale=100)
                counts.append(int(scores["count"].max()))
                label = role_of(role).label if alone else f"{named(name, counts[-1])}, {role_of(role).label}"
                look = ({"color": role_color(role)} if alone else looks[name]) | {
                    "linestyle": role_line(role),
                    "linewidth": _THIN if thin else _WIDE,
                    "zorder": 2 + 0.1 * place - thin,
                }
                draw_over(axes, scores, label=label, look=look, band=not thin)
        require(bool(axes.lines), "runs with scores", "none", "train for at least one epoch, or choose another run")
        label_epochs(axes)
        _label_images(axes, runs)
        if len(runs) == 1:
            _note_fall(axes, runs[0])
        axes.set_ylabel(column(f"{MIOU}{STUDENT}").text)
        axes.grid(axis="y")
        if alone:
            _add_roles_legend(axes, max(counts))
        else:
            legend_below(axes)
    return axes


def _note_fall(ax: Axes, run: Curves) -> None:
    """Says why the ensemble falls after the warm-up, where it does, beside its lowest point."""
    if (fall := fall_after_warmup(run)) is None:
        return
    right = fall.epoch > sum(ax.get_xlim()) / 2
    ax.annotate(
        "teachers leave\ntheir warm-up",
        (fall.epoch, 100 * fall.lowest),
        xytext=(-22 if right else 22, 0),
        textcoords="offset points",
        fontsize=6,
        color=shade(0.4),
        va="center",
        ha="right" if right else "left",
    )


def _add_roles_legend(ax: Axes, runs: int) -> None:
    """Adds the legend of one experiment inside the axes; scores rise, so the lower right is mostly free."""
    middle = sum(ax.get_ylim()) / 2
    free = all(np.asarray(line.get_ydata())[-1] > middle for line in ax.lines)
    title = f"mean and range of {runs} seeds" if runs > 1 else None
    ax.legend(loc="lower right" if free else "best", handlelength=2.6, title=title)


def _label_images(ax: Axes, runs: Sequence[Curves]) -> None:
    """Adds the axis of images above, if epochs and steps have as many of them in all runs."""
    seen = images_seen(runs)
    if seen.empty:
        return
    of_step = next(run.images_per_step for run in runs if len(run.metrics))
    epochs, images = np.r_[0, seen.index], np.r_[0, seen]
    thousands = bool(_bent(ax.get_xlim()[1], epochs, images) >= 2000)
    images = images / 1000 if thousands else images
    # Epochs of a warm-up may be shorter than the others, so the two scales are not in one proportion.
    above = ax.secondary_xaxis(
        "top", functions=(partial(_bent, x=epochs, y=images), partial(_bent, x=images, y=epochs))
    )
    above.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    counted = "images seen (thousands)" if thousands else "images seen"
    above.set_xlabel(f"{counted}, {of_step} a step")


def _bent(values: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolates linearly between points, and extrapolates beyond the first and the last."""
    slopes = np.diff(y) / np.diff(x)
    place = np.clip(np.searchsorted(x, values, side="right") - 1, 0, len(slopes) - 1)
    return y[place] + (np.asarray(values) - x[place]) * slopes[place]


def draw_training(curves: Curves) -> Figure:
    """Draws everything that a run measured after each epoch, in four small panels.

    Args:
        curves: The run; one epoch is enough, and what was not measured is left out.

    Returns:
        A figure 174 mm wide.
    """
    with style():
        figure = new_figure(DOUBLE, 105)
        losses, weights, confident, scores = figure.subplots(2, 2, sharex=True).flat
        for name in map(str, curves.metrics):
            if column(name).chart == "loss":
                _draw_column(losses, curves, name)
        _finish(losses, "loss_sup")
        _draw_weight_and_rate(weights, curves)
        _draw_column(confident, curves, "confident_fraction")
        confident.set_ylim(-2, 102)
        _finish(confident, "confident_fraction")
        roles = roles_of([curves])
        for role in roles:
            _draw_column(scores, curves, f"{MIOU}{role}", linewidth=_WIDE if role in leading(roles) else _THIN)
        _finish(scores, f"{MIOU}{STUDENT}")
        for ax in (confident, scores):
            label_epochs(ax)
        if len(curves.metrics) == 1:
            scores.set_xlim(curves.metrics["epoch"].iloc[0] - 1, curves.metrics["epoch"].iloc[0] + 1)
        figure.suptitle(plain(curves.name))
    return figure


def _draw_column(ax: Axes, curves: Curves, name: str, **look: Any) -> None:
    """Draws one column in its colour and line; a lone line has no label."""
    known = column(name)
    line: dict[str, Any] = {"linestyle": (0, known.dashes)} if known.dashes else {}
    color = role_color(known.color)
    label = known.label if known.chart in _WITH_LEGEND else ""
    draw_over(ax, over_seeds([curves], name, scale=known.scale), label=label, look={"color": color, **line, **look})


def _draw_weight_and_rate(weights: Axes, curves: Curves) -> None:
    """Draws two columns of different units over each other, each with an axis in its own colour."""
    rates = weights.twinx()
    _draw_column(weights, curves, "unsup_weight")
    _draw_column(rates, curves, "learning_rate", linestyle="--")
    for ax, name in ((weights, "unsup_weight"), (rates, "learning_rate")):
        color = role_color(column(name).color)
        ax.set_ylabel(column(name).text, color=color)
        ax.tick_params(axis="y", colors=color)
        ax.set_ylim(bottom=0)
        if not ax.lines:
            ax.yaxis.set_visible(False)
    rates.set_ylim(top=1.25 * rates.get_ylim()[1])  # or the first points of both would lie upon each other
    rates.spines["right"].set_visible(bool(rates.lines))
    rates.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    weights.set_title("weight and learning rate")


def _finish(ax: Axes, name: str) -> None:
    ax.set_title(column(name).text)
    ax.grid(axis="y")
    if not ax.lines:
        say_not_measured(ax)
    elif ax.get_legend_handles_labels()[1]:
        ax.legend(loc="best", handlelength=2.6)
