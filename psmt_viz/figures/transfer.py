"""Transfer: how many pixels each kind flips for each network, and how T-VAT differs from VAT."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import blended_transform_factory

from psmt_viz.figures.kinds import add_warnings, look, rows_at
from psmt_viz.figures.pictures import hatched
from psmt_viz.figures.shares import percent
from psmt_viz.figures.style import (
    DOUBLE,
    SINGLE,
    keep_margin,
    new_figure,
    plain,
    shade,
    style,
    text_color,
)
from psmt_viz.kinds import KINDS, PAPER_EPS, REFERENCES, kinds_in_order
from psmt_viz.results import Flips
from psmt_viz.roles import STUDENT, role_of, roles_in_order

_AGAINST = REFERENCES[0]
_OF_TEACHERS = tuple(
    name for name, kind in KINDS.items() if kind.has_exact and kind.keeps_eps and kind.maker != STUDENT
)
"""VAT's counterparts: the same search and norm, asked of teachers."""
_TINY = 1e-3
"""Rate in % below which a cell cannot hold a third digit behind the zeros."""


def draw_transfer(flips: Flips, *, eps: float = PAPER_EPS) -> Figure:
    """Draws two panels: how much each kind flips for each judge, and how T-VAT and the single teachers differ from VAT.

    Left the flip rates on a logarithmic scale, those of kinds that search on top. Right the paired differences, same
    images and same pixels, in percentage points; a marker is hollow where its interval contains 0. Warnings about a
    kind are written below. Without kinds that need teachers there is nothing on the right, and the figure says so.

    Args:
        flips: The sweep.
        eps: The norm; the sweep must have it.

    Returns:
        A figure 174 mm wide, or 84 mm of one or two judges without differences.

    Raises:
        UserError: if the sweep has no such eps.
    """
    table = rows_at(flips.flips, eps)
    paired = flips.paired[
        (flips.paired["against"] == _AGAINST)
        & flips.paired["kind"].isin(_OF_TEACHERS)
        & np.isclose(flips.paired["eps"].to_numpy(float), eps)
        & (flips.paired["norm"] == table["norm"].iloc[0])
    ]
    kinds, judges = kinds_in_order(table["kind"]), roles_in_order(table["judge"])
    with style():
        wide = len(paired) or len(judges) > 2
        figure = new_figure(DOUBLE if wide else SINGLE, 24 + 8 * max(len(kinds), 3 + len(judges)))
        if len(paired):
            # Halves of their own, because a label below one would otherwise push the other's apart.
            halves: Any = figure.subfigures(1, 2, width_ratios=[1.2, 1])
            left, right = (half.subplots() for half in halves)
            _draw_differences(right, paired, eps)
        else:
            left = figure.subplots()
            left.set_xlabel(_why_alone(kinds), color=shade(0.3), fontsize=6)
        _draw_matrix(left, table, kinds, judges)
        gap = " " if wide else "\n"
        left.set_title(f"correct pixels flipped at eps = {eps:g},{gap}with 95 % interval")
        keep_margin(figure)
        add_warnings(figure, flips.health)
    return figure


def _why_alone(kinds: Sequence[str]) -> str:
    """Returns why there are no differences, as far as the table of what was measured tells."""
    if not set(kinds) & set(_OF_TEACHERS):
        return "T-VAT and the single teachers were left out:\nthey need a model with teachers"
    return "no difference from VAT was measured"


def _draw_matrix(ax: Axes, table: pd.DataFrame, kinds: Sequence[str], judges: Sequence[str]) -> None:
    parts = table.drop_duplicates(["kind", "judge"]).set_index(["kind", "judge"])
    wanted = pd.MultiIndex.from_product([kinds, judges])
    shape = (len(kinds), len(judges))
    rate, low, high = (
        100 * parts[f"flip_rate{end}"].reindex(wanted).to_numpy(float).reshape(shape) for end in ("", "_low", "_high")
    )
    positive = rate[rate > 0]
    floor, top = (positive.min(), positive.max()) if len(positive) else (1e-3, 1.0)
    cmap, norm = colormaps["viridis"], LogNorm(floor, max(top, 1.01 * floor))
    # Zero has no place on the scale: it has the lowest colour, and its text says what it is.
    shown = np.where(np.isnan(rate), np.nan, np.maximum(rate, floor))
    ax.patch.set(**hatched())
    ax.imshow(shown, cmap=cmap, norm=norm, aspect="auto", gid="rates")
    for row, column in zip(*np.nonzero(~np.isnan(rate)), strict=True):
        color = text_color(cmap(norm(shown[row, column])))
        place = (float(column), float(row))
        text = percent(rate[row, column] / 100, 3 if rate[row, column] >= _TINY else 2)
        ax.annotate(text, place, xytext=(0, 1.5), textcoords="offset points", ha="center", va="center", color=color,
                    gid="rate")  # fmt: skip
        ax.annotate(_interval(low[row, column], high[row, column]), place, xytext=(0, -5.5), fontsize=5, ha="center",
                    textcoords="offset points", va="center", color=color, gid="interval")  # fmt: skip
    searching = sum(kind in KINDS and KINDS[kind].searches for kind in kinds)
    if 0 < searching < len(kinds):
        ax.axhline(searching - 0.5, color=shade(1), linewidth=2)
    ax.set_yticks(range(len(kinds)), [look(kind).title for kind in kinds])
    ax.set_xticks(range(len(judges)), [plain(role_of(judge).label) for judge in judges])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(ScalarMappable(norm, cmap), ax=ax, location="bottom", fraction=0.03, pad=0.02, aspect=40)
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.xaxis.set_minor_formatter(NullFormatter())
    bar.outline.set_visible(False)
    bar.set_label("flipped (%)")


def _interval(low: float, high: float) -> str:
    """Returns the ends in %, two digits each; powers of ten where the cell could not hold the zeros."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "interval not known"
    ends = [f"{end:.1e}" if 0 < end < 1e-4 else percent(end / 100).removesuffix(" %") for end in (low, high)]
    return f"{ends[0]} – {ends[1]}"


def _draw_differences(ax: Axes, paired: pd.DataFrame, eps: float) -> None:
    kinds, judges = kinds_in_order(paired["kind"]), roles_in_order(paired["judge"])
    for group, judge in enumerate(judges):
        for index, kind in enumerate(kinds):
            rows = paired[(paired["kind"] == kind) & (paired["judge"] == judge)]
            if rows.empty:
                continue
            middle, low, high = (100 * float(rows[f"difference{end}"].iloc[0]) for end in ("", "_low", "_high"))
            y, (_, color, marker, _) = group + 0.22 * (index - (len(kinds) - 1) / 2), look(kind)
            ax.plot([low, high], [y, y], color=color, linewidth=1.1, gid=f"interval {kind}/{judge}")
            clear = low > 0 or high < 0
            ax.plot(middle, y, linestyle="", marker=marker, color=color, markersize=5, gid=f"{kind}/{judge}",
                    markerfacecolor=color if clear else shade(1))  # fmt: skip
    ax.axvline(0, color=shade(0.3), linewidth=0.7, zorder=0)
    ax.set_yticks(range(len(judges)), [plain(role_of(judge).label) for judge in judges])
    ax.set_ylim(len(judges) - 0.4, -0.6)
    ax.set_ylabel("judge (network whose predictions are scored)")
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=6)
    ax.set_xlabel("difference of the flip rates (percentage points)")
    above = blended_transform_factory(ax.transData, ax.transAxes)
    for text, side, shift in (("VAT flips more", "right", -3), ("VAT flips fewer", "left", 3)):
        ax.annotate(text, (0, 1), xycoords=above, xytext=(shift, -1), textcoords="offset points", ha=side, va="top",
                    fontsize=6, color=shade(0.35))  # fmt: skip
    compared = f"{look(kinds[0]).title} minus VAT" if len(kinds) == 1 else "difference from VAT"
    ax.set_title(f"{compared} at eps = {eps:g}")
    handles = [Line2D([], [], color=look(kind).color, marker=look(kind).marker, markersize=5, label=look(kind).title)
               for kind in kinds]  # fmt: skip
    hollow = Line2D(
        [], [], color=shade(0.3), marker="o", markerfacecolor=shade(1), markersize=5, label="interval contains 0"
    )
    ax.legend(handles=[*handles, hollow], loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, handlelength=2.4)
