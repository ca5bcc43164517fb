"""Where correct pixels are flipped: by class, by distance to another class, by confidence, and into which class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from psmt_viz.figures.kinds import judge_of, look, rows_at
from psmt_viz.figures.logzero import draw_upper_bounds, floor_of, label_axis, lifted, upper_bound_handle
from psmt_viz.figures.pictures import shares_colormap, write_shares
from psmt_viz.figures.style import DOUBLE, keep_margin, new_figure, plain, require, shade, style
from psmt_viz.figures.words import judged_by
from psmt_viz.kinds import PAPER_EPS, SHOWN, kinds_in_order
from psmt_viz.results import Flips

_FEW = 11
"""Classes up to which a cell of the confusion holds its number."""
_CONFUSED = ("tvat", "vat")
"""The kinds of which the first that is there has its confusion drawn."""
_ENDS = ("truth", "prediction")
_RATES = ["flip_rate", "flip_rate_low", "flip_rate_high"]


def draw_where(flips: Flips, *, eps: float = PAPER_EPS, judge: str = "student", kinds: Sequence[str] = SHOWN) -> Figure:
    """Draws four panels: the flip rate by class, by distance to another class and by confidence, and their confusion.

    Rates are on logarithmic axes with 0 on a line of its own; bars are 95 % intervals, that of a zero with a cap at its
    upper bound. Bins and classes without correct pixels are left out. The confusion is T-VAT's, or VAT's where there
    is no T-VAT, in % of all its flips.

    Args:
        flips: The sweep.
        eps: The norm; the sweep must have it.
        judge: Whose predictions are counted; where there are none of this judge, the first judge's.
        kinds: Kinds to draw; those that the sweep does not have are left out. Where it has none of those that are
            drawn by default, its first three are drawn.

    Returns:
        A figure 174 mm wide.

    Raises:
        UserError: if the sweep has no such eps or none of the kinds.
    """
    judge = judge_of(flips.by_class, judge)
    present = kinds_in_order(rows_at(flips.by_class, eps)["kind"])
    if tuple(kinds) == SHOWN and not set(present) & set(SHOWN):
        kinds = present[:3]
    by_class, by_distance, by_confidence = (
        _chosen(table, eps, judge, kinds) for table in (flips.by_class, flips.by_distance, flips.by_confidence)
    )
    drawn = pd.concat([by_class, by_distance, by_confidence])
    floor = floor_of(100 * drawn[_RATES])
    names = list(
        dict.fromkeys(pd.concat([flips.by_class["class"], *(flips.confusion[end] for end in _ENDS)]).astype(str))
    )
    tall = 30 + 2.4 * max(len(names), 12)
    with style():
        figure = new_figure(DOUBLE, tall + 72)
        (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2, height_ratios=[tall, 60])
        _draw_rates(top_left, by_class.assign(group=by_class["class"].astype(str)), floor, across=False)
        _draw_rates(bottom_left, by_distance.assign(group=_bins(by_distance)), floor)
        bottom_left.set_xlabel("distance to the nearest other class (pixels)")
        _draw_rates(bottom_right, by_confidence.assign(group=_bins(by_confidence)), floor)
        bottom_right.set_xlabel("confidence before the perturbation")
        _draw_confusion(top_right, flips, names, eps, judge)
        keep_margin(figure)
        handles = [
            Line2D([], [], color=look(kind).color, marker=look(kind).marker, label=look(kind).title)
            for kind in kinds_in_order(by_class["kind"])
        ]
        if ((drawn["flip_rate"] <= 0) & (drawn["flip_rate_high"] > 0)).any():
            handles.append(upper_bound_handle())
        figure.legend(
            handles=handles, loc="outside upper center", ncols=6, title=plain(f"eps = {eps:g}, {judged_by(judge)}")
        )
    return figure


def _chosen(table: pd.DataFrame, eps: float, judge: str, kinds: Sequence[str]) -> pd.DataFrame:
    """Returns the rows to draw of one table, those with correct pixels."""
    rows = rows_at(table[table["judge"] == judge], eps)
    known = ", ".join(kinds_in_order(rows["kind"]))
    rows = rows[rows["kind"].isin(kinds)]
    require(len(rows) > 0, f"kinds among {known}", ", ".join(kinds) or "none", "choose some of them")
    return rows[rows["correct_pixels"] > 0]


def _bins(table: pd.DataFrame) -> list[str]:
    return [
        f"{low:g}–{high:g}" if np.isfinite(high) else f"≥ {low:g}"
        for low, high in zip(table["low"].astype(float), table["high"].astype(float), strict=True)
    ]


def _draw_rates(ax: Axes, table: pd.DataFrame, floor: float, *, across: bool = True) -> None:
    """Draws a marker with its interval for each kind in each group, groups across or down."""
    groups, kinds = list(dict.fromkeys(table["group"])), kinds_in_order(table["kind"])
    for index, kind in enumerate(kinds):
        rows = table[table["kind"] == kind]
        place = np.array([groups.index(group) for group in rows["group"]]) + 0.25 * (index - (len(kinds) - 1) / 2)
        rate, low, high = (lifted(100 * rows[column], floor) for column in _RATES)
        _, color, marker, _ = look(kind)
        hollow = [shade(1) if value else color for value in rows["flip_rate"] == 0]
        (ax.vlines if across else ax.hlines)(place, low, high, color=color, linewidth=0.9, gid=f"interval {kind}")
        bounds = (100 * rows[column] for column in ("flip_rate", "flip_rate_high"))
        draw_upper_bounds(ax, place, *bounds, floor=floor, color=color, across=across)
        ax.scatter(*((place, rate) if across else (rate, place)), marker=marker, s=14, facecolors=hollow,
                   edgecolors=color, linewidths=0.8, zorder=3, gid=kind)  # fmt: skip
    zero = bool((table[_RATES] <= 0).any(axis=None))
    label_axis(ax.yaxis if across else ax.xaxis, floor, zero=zero)
    labels = [plain(group) for group in groups]
    if across:
        ax.set_xticks(range(len(groups)), labels, rotation=0 if max(map(len, labels), default=0) * len(labels) < 62
                      else 45)  # fmt: skip
        ax.set_xlim(-0.6, len(groups) - 0.4)
        ax.set_ylabel("correct pixels flipped (%)")
        ax.tick_params(axis="x", length=0)
    else:
        ax.set_yticks(range(len(groups)), labels)
        ax.set_ylim(len(groups) - 0.4, -0.6)
        ax.set_xlabel("correct pixels flipped (%)")
        ax.tick_params(axis="y", length=0)


def _draw_confusion(ax: Axes, flips: Flips, names: Sequence[str], eps: float, judge: str) -> None:
    # From the sweep, because a kind that flips nothing has no rows in the confusion.
    sweep = rows_at(flips.flips, eps)
    present = kinds_in_order(sweep["kind"])
    kind = next((kind for kind in _CONFUSED if kind in present), present[0])
    table, norm_name = flips.confusion, sweep["norm"].iloc[0]
    chosen = (table["kind"] == kind) & (table["judge"] == judge) & (table["norm"] == norm_name)
    rows = table[chosen & np.isclose(table["eps"].to_numpy(float), eps)]
    counts = np.zeros((len(names), len(names)))
    for truth, guess, pixels in zip(*(rows[name] for name in (*_ENDS, "pixels")), strict=True):
        counts[names.index(str(truth)), names.index(str(guess))] += pixels
    total = counts.sum()
    shares = np.where(counts > 0, 100 * counts / max(total, 1), np.nan)
    norm = Normalize(0, float(np.nanmax(shares, initial=0)) or 1)
    picture = ax.imshow(shares, cmap=shares_colormap(), norm=norm, gid="confusion")
    if len(names) <= _FEW:
        write_shares(ax, shares, picture, fontsize=6)
    ax.set_xticks(range(len(names)), [plain(name) for name in names], rotation=90)
    ax.set_yticks(range(len(names)), [plain(name) for name in names])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(True)
    ax.spines[:].set_color(shade(0.8))
    ax.set_xlabel("prediction after")
    ax.set_ylabel("truth")
    ax.set_title(f"what {total:,.0f} flips of {look(kind).title} become")
    bar = ax.figure.colorbar(picture, ax=ax, fraction=0.046, pad=0.02)
    bar.set_label("share of these flips (%)")
    bar.outline.set_visible(False)
