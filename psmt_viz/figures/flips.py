"""How many correct pixels each kind of perturbation turns wrong, against its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from psmt_viz.figures.kinds import OWN, add_warnings, judge_of, look
from psmt_viz.figures.logzero import draw_upper_bounds, floor_of, label_axis, lifted, upper_bound_handle
from psmt_viz.figures.shares import percent
from psmt_viz.figures.style import DOUBLE, drawing_on, new_figure, plain, require, shade, style
from psmt_viz.figures.words import judged_by
from psmt_viz.kinds import PAPER_EPS, kinds_in_order
from psmt_viz.results import Flips
from psmt_viz.roles import roles_in_order


class _Measure(NamedTuple):
    column: str
    scale: float
    label: str

    def of(self, table: pd.DataFrame, end: str = "") -> Any:
        return self.scale * table[self.column + end].to_numpy(float)

    def span(self, table: pd.DataFrame) -> tuple[float, float]:
        """Returns where zero is drawn and where the axis ends, with room for a note above everything drawn."""
        values = np.stack([self.of(table, end) for end in ("", "_low", "_high")])
        floor = floor_of(values)
        top = max(float(np.nanmax(values, initial=0)), 10 * floor)
        return floor, top * (top / floor) ** 0.12


_FLIPS = _Measure("flip_rate", 100, "correct pixels flipped (%)")
_KL = _Measure("kl", 1, "KL divergence (nats, sum over an image)")
_OWN_SIZE = 6.5


def draw_flips(flips: Flips, *, judge: str = "student", ax: Axes | None = None) -> Axes:
    """Draws the share of correct pixels that are flipped against eps, both on logarithmic axes, one line per kind.

    Bands are the interval of the table (flip_rate_low, flip_rate_high). A logarithmic axis has no zero: rates of 0
    are drawn as hollow markers on a line of their own, labelled 0, at the bottom, below a bar that ends at their upper
    bound. A feature perturbation of the size that its authors use is one large hollow marker, joined to nothing. A thin
    line marks the paper's eps = 2. Where eps and relative norm are proportional a second axis on top shows the relative
    norm.

    Args:
        flips: The sweep.
        judge: Whose predictions are counted; where there are none of this judge, the first judge's.
        ax: Axes to draw on; without, a new figure 174 mm wide.

    Returns:
        The axes drawn on.

    Raises:
        UserError: if there is no row with eps > 0.
    """
    table = _sweep(flips)
    judge = judge_of(table, judge)
    rows = table[table["judge"] == judge]
    with drawing_on(ax, width=DOUBLE, height=88) as axes:
        _draw_panel(axes, rows, _FLIPS, _FLIPS.span(rows))
        _add_top_axis(axes, rows)
        axes.legend(handles=_handles(rows), loc="upper left", bbox_to_anchor=(1.01, 1), handlelength=3.2,
                    title=plain(judged_by(judge)), alignment="left")  # fmt: skip
    return axes


def draw_sweep(flips: Flips) -> Figure:
    """Draws flips and KL divergence against eps side by side for the student, and below what is wrong with a kind.

    Args:
        flips: The sweep; without a student, the first judge's rows are drawn.

    Returns:
        A figure 174 mm wide.

    Raises:
        UserError: if there is no row with eps > 0.
    """
    table = _sweep(flips)
    judge = judge_of(table, "student")
    rows = table[table["judge"] == judge]
    with style():
        figure = new_figure(DOUBLE, 88)
        for ax, measure in zip(figure.subplots(1, 2, sharex=True), (_FLIPS, _KL), strict=True):
            _draw_panel(ax, rows, measure, measure.span(rows))
            _add_top_axis(ax, rows)
        _add_legend(figure, rows, title=plain(judged_by(judge)))
        add_warnings(figure, flips.health)
    return figure


def draw_judges(flips: Flips) -> Figure:
    """Draws flips against eps in one panel per judge (whose predictions are scored), all on the same axes.

    Args:
        flips: The sweep.

    Returns:
        A figure 174 mm wide.

    Raises:
        UserError: if there is no row with eps > 0.
    """
    table = _sweep(flips)
    judges = roles_in_order(table["judge"])
    rows, columns = (1 if len(judges) < 3 else -(-len(judges) // 2)), min(len(judges), 2)
    with style():
        figure = new_figure(DOUBLE, 16 + 62 * rows)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        span = _FLIPS.span(table)
        for ax, judge in zip(axes.flat, judges, strict=False):
            _draw_panel(ax, table[table["judge"] == judge], _FLIPS, span)
            ax.set_title(plain(judged_by(judge)))
            ax.label_outer()
        if len(judges) < axes.size:
            axes[-1, -1].set_visible(False)
            axes[-2, -1].xaxis.set_tick_params(labelbottom=True)
            axes[-2, -1].set_xlabel(axes[-1, 0].get_xlabel())
        _add_legend(figure, table)
    return figure


def _sweep(flips: Flips) -> pd.DataFrame:
    table = flips.flips[flips.flips["eps"] > 0]
    require(len(table) > 0, "a sweep with eps > 0", "none", "run psmt-viz perturb again")
    return table


def _draw_panel(ax: Axes, table: pd.DataFrame, measure: _Measure, span: tuple[float, float]) -> None:
    ax.set_xscale("log")
    floor, top = span
    zero = False
    for kind, norm in _lines(table):
        rows = table[(table["kind"] == kind) & (table["norm"] == norm)].sort_values("eps")
        _draw_line(ax, rows, measure, floor, kind=kind, norm=norm)
        zero |= bool((measure.of(rows) <= 0).any() or (measure.of(rows, "_low") <= 0).any())
    label_axis(ax.yaxis, floor, zero=zero)
    ax.set_ylabel(measure.label)
    _label_eps(ax, table)
    ax.set_ylim(top=top)
    _mark_paper_eps(ax, table)


def _lines(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns kind and norm of each line of a panel, in the order of the legend."""
    present = list(dict.fromkeys(zip(table["kind"].astype(str), table["norm"].astype(str), strict=True)))
    return [pair for kind in kinds_in_order(table["kind"]) for pair in present if pair[0] == kind]


def _draw_line(ax: Axes, rows: pd.DataFrame, measure: _Measure, floor: float, *, kind: str, norm: str) -> None:
    _, color, marker, line = look(kind)
    eps, values = rows["eps"].to_numpy(float), measure.of(rows)
    low, high, shown = (lifted(each, floor) for each in (measure.of(rows, "_low"), measure.of(rows, "_high"), values))
    gid = f"{kind}/{norm}"
    draw_upper_bounds(ax, eps, values, measure.of(rows, "_high"), floor=floor, color=color, across=True)
    if norm == OWN:
        ax.vlines(eps, low, high, color=color, linewidth=0.8, gid=f"interval {gid}")
        ax.plot(eps, shown, color=color, marker=marker, markersize=_OWN_SIZE, gid=gid, **_hollow())
        return
    ax.fill_between(eps, low, high, color=color, alpha=0.13, linewidth=0, gid=f"band {gid}")
    ax.plot(eps, shown, color=color, linestyle=line, marker=marker, gid=gid)
    zero = values <= 0
    if zero.any():
        ax.plot(eps[zero], shown[zero], color=color, marker=marker, markersize=5, gid="zero", **_hollow())


def _hollow() -> dict[str, Any]:
    return {"linestyle": "", "markerfacecolor": shade(1), "markeredgewidth": 0.9, "zorder": 3}


def _handles(table: pd.DataFrame) -> list[Line2D]:
    norms = set(table["norm"].astype(str)) - {OWN}
    handles = []
    for kind in kinds_in_order(table["kind"]):
        title, color, marker, line = look(kind)
        own = set(table.loc[table["kind"] == kind, "norm"].astype(str)) - {OWN}
        label = title if len(norms) < 2 else f"{title}, norm per {plain(' and '.join(sorted(own)))}"
        handles.append(Line2D([], [], color=color, linestyle=line, marker=marker, label=label))
    if (table["norm"] == OWN).any():
        handles.append(
            Line2D(
                [],
                [],
                color=shade(0.3),
                marker="o",
                markersize=_OWN_SIZE,
                label="size used by its authors",
                **_hollow(),
            )
        )
    if ((table["flip_rate"] <= 0) & (table["flip_rate_high"] > 0)).any():
        handles.append(upper_bound_handle())
    return handles


def _add_legend(figure: Figure, table: pd.DataFrame, title: str | None = None) -> None:
    figure.legend(handles=_handles(table), loc="outside upper center", ncols=6, handlelength=3.2, columnspacing=1.2,
                  title=title)  # fmt: skip


def _label_eps(ax: Axes, table: pd.DataFrame) -> None:
    ax.set_xlabel("eps (norm asked for)")
    ax.xaxis.grid(which="major")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    eps = table["eps"].to_numpy(float)
    swept = np.unique(eps[(table["norm"] != OWN).to_numpy()])
    if 0 < len(swept) <= 10:
        # The sizes that authors use are tens of times as large; ticks at the decades suffice there.
        decades = 10.0 ** np.arange(np.ceil(np.log10(1.5 * swept[-1])), np.ceil(np.log10(eps.max())) + 1)
        ax.set_xticks([*swept, *(decades if eps.max() > swept[-1] else ())])
    ax.xaxis.set_minor_formatter(NullFormatter())
    span = np.log10(eps.max() / eps.min()) or 1
    ax.set_xlim(eps.min() / 10 ** (0.03 * span), eps.max() * 10 ** (0.03 * span))


def _mark_paper_eps(ax: Axes, table: pd.DataFrame) -> None:
    if not (table["norm"] == "image").any():
        return  # the paper's is a norm over images
    ax.axvline(PAPER_EPS, color=shade(0.6), linewidth=0.6, zorder=0)
    factor = _norm_factor(table)
    size = "" if factor is None else f"\n({percent(PAPER_EPS * factor)} of ‖z‖)"
    ax.annotate(f"paper: eps = {PAPER_EPS:g}{size}", (PAPER_EPS, 1), xycoords=("data", "axes fraction"), xytext=(3, -2),
                textcoords="offset points", va="top", fontsize=6, color=shade(0.35))  # fmt: skip


def _norm_factor(table: pd.DataFrame) -> float | None:
    """Returns relative norm per eps if it is one number for most rows, else None.

    A perturbation whose size is lost to rounding has its own relative norm, so the middle half of the rows decides.
    """
    ratios = (table["relative_norm"] / table["eps"]).dropna()
    if ratios.empty:
        return None
    low, middle, high = (float(ratios.quantile(share)) for share in (0.25, 0.5, 0.75))
    return middle if middle > 0 and (high - low) <= 0.05 * middle else None


def _add_top_axis(ax: Axes, table: pd.DataFrame) -> None:
    if (factor := _norm_factor(table)) is None:
        return
    top = ax.secondary_xaxis("top", functions=_scaled_by(100 * factor))
    top.set_xlabel("relative norm, ‖r‖ / ‖z‖ (%)")
    top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    top.xaxis.set_minor_formatter(NullFormatter())


def _scaled_by(factor: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    return (lambda value: np.asarray(value) * factor), (lambda value: np.asarray(value) / factor)
