"""How many correct pixels a perturbation of a given size turns wrong, for every kind of perturbation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from psmt_viz.figures.style import DOUBLE, LINE_COLORS, ROLE_COLORS, drawing_on, percent, plain, require
from psmt_viz.results import Flips

PAPER_EPS = 2.0

# VAT asks the student and T-VAT the ensemble, so they have their colours.
_LOOKS: dict[str, tuple[str, str]] = {
    "vat": ("VAT", ROLE_COLORS["student"]),
    "tvat": ("T-VAT", ROLE_COLORS["ensemble"]),
    "tvat-official": ("T-VAT as published", LINE_COLORS[0]),
    "random": ("random direction", "0.45"),
}
_MARKERS = ("o", "D", "s", "^", "v", "P", "X", "<", ">", "h")
_LINES: tuple[Any, ...] = ("-", "--", (0, (4, 1, 1, 1)), (0, (1, 1)))


def draw_flips(flips: Flips, *, ax: Axes | None = None) -> Axes:
    """Draws the share of correct pixels that are flipped against eps, both on logarithmic axes, a line a kind.

    Bands are the interval of the table (flip_rate_low, flip_rate_high). A logarithmic axis has no zero: rates of 0
    are drawn as hollow markers on a line of their own, labelled 0, at the bottom. A thin line marks the paper's
    eps = 2. Where eps and relative norm are proportional a second axis on top shows the relative norm.

    Args:
        flips: The sweep. Rows of other judges get another line style, rows of other norms another line.
        ax: Axes to draw on; without, a new figure 174 mm wide.

    Returns:
        The axes drawn on.

    Raises:
        UserError: if there is no row with eps > 0.
    """
    table = flips.flips[flips.flips["eps"] > 0]
    require(len(table) > 0, "a sweep with eps > 0", "none", "run psmt-viz perturb again")
    with drawing_on(ax, width=DOUBLE, height=88) as axes:
        floor = _floor(table)
        axes.set_xscale("log")
        axes.set_yscale("log")
        _draw_lines(axes, table, floor)
        _mark_paper_eps(axes, table)
        _label_axes(axes, table, floor)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), handlelength=3.2)
    return axes


def _floor(table: pd.DataFrame) -> float:
    """Returns where zero is drawn, in %: the decade below every rate and interval that is not zero."""
    rates: NDArray[np.float64] = 100 * table[["flip_rate", "flip_rate_low", "flip_rate_high"]].to_numpy(np.float64)
    positive = rates[np.isfinite(rates) & (rates > 0)]
    # Without any flip the interval's upper ends are zero as well only for resampled ones; any decade will do then.
    return float(10.0 ** (np.floor(np.log10(positive.min())) - 1)) if len(positive) else 1e-3


def _draw_lines(ax: Axes, table: pd.DataFrame, floor: float) -> None:
    kinds, judges, norms = (list(dict.fromkeys(table[name].astype(str))) for name in ("kind", "judge", "norm"))
    others = [kind for kind in kinds if kind not in _LOOKS]
    spare = dict(zip(others, cycle(LINE_COLORS[1:]), strict=False))
    for key, rows in table.groupby(["kind", "judge", "norm"], sort=False):
        kind, judge, norm = (str(part) for part in key)
        title, color = _LOOKS[kind] if kind in _LOOKS else (plain(kind), spare[kind])
        label = ", ".join(
            [title]
            + ([f"judged by {plain(judge)}"] if len(judges) > 1 else [])
            + ([f"norm per {plain(norm)}"] if len(norms) > 1 else [])
        )
        ordered = rows.sort_values("eps")
        eps, rate = ordered["eps"].to_numpy(float), 100 * ordered["flip_rate"].to_numpy(float)
        low, high = (100 * ordered[f"flip_rate_{end}"].to_numpy(float) for end in ("low", "high"))
        marker = _MARKERS[kinds.index(kind) % len(_MARKERS)]
        line = _LINES[(judges.index(judge) + norms.index(norm)) % len(_LINES)]
        shown = np.where(rate > 0, rate, np.where(np.isnan(rate), np.nan, floor))
        ax.fill_between(eps, np.maximum(low, floor), np.maximum(high, floor), color=color, alpha=0.15, linewidth=0)
        ax.plot(eps, shown, color=color, linestyle=line, marker=marker, label=label, gid=f"{kind}/{judge}/{norm}")
        zero = rate == 0
        if zero.any():
            hollow: dict[str, Any] = {
                "markerfacecolor": "white",
                "markeredgecolor": color,
                "markersize": 5,
                "markeredgewidth": 0.9,
            }
            ax.plot(eps[zero], shown[zero], linestyle="", marker=marker, zorder=3, gid="zero", **hollow)


def _mark_paper_eps(ax: Axes, table: pd.DataFrame) -> None:
    ax.axvline(PAPER_EPS, color="0.6", linewidth=0.6, zorder=0)
    factor = _norm_factor(table)
    size = "" if factor is None else f"\n({percent(PAPER_EPS * factor)} of ‖z‖)"
    ax.annotate(f"paper: eps = 2{size}", (PAPER_EPS, 1), xycoords=("data", "axes fraction"), xytext=(3, -2),
                textcoords="offset points", va="top", fontsize=6, color="0.35")  # fmt: skip


def _norm_factor(table: pd.DataFrame) -> float | None:
    """Returns relative norm per eps if it is one number for most rows, else None.

    A perturbation whose size is lost to rounding has its own relative norm, so the middle half of the rows decides.
    """
    ratios = (table["relative_norm"] / table["eps"]).dropna()
    if ratios.empty:
        return None
    low, middle, high = (float(ratios.quantile(share)) for share in (0.25, 0.5, 0.75))
    return middle if middle > 0 and (high - low) <= 0.05 * middle else None


def _label_axes(ax: Axes, table: pd.DataFrame, floor: float) -> None:
    ax.set_xlabel("eps (norm of the perturbation)")
    ax.set_ylabel("correct pixels flipped (%)")
    ax.grid(which="major")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    values = np.unique(table["eps"].to_numpy(float))
    if len(values) <= 10:
        ax.set_xticks(values)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.03)
    rates = table["flip_rate"]
    if (rates == 0).any() or (table["flip_rate_low"] == 0).any():
        ax.set_ylim(bottom=floor / 1.6)
        ax.axhline(floor, color="0.8", linewidth=0.6, zorder=0)
    ax.yaxis.set_major_locator(LogLocator(numticks=12))
    ax.yaxis.set_major_formatter(
        FuncFormatter(
            lambda value, _: (
                "0"
                if np.isclose(value, floor, rtol=1e-6)
                else np.format_float_positional(float(f"{value:.6g}"), trim="-")
            )
        )
    )
    ax.yaxis.set_minor_formatter(NullFormatter())
    if (factor := _norm_factor(table)) is not None:
        top = ax.secondary_xaxis("top", functions=_scaled_by(100 * factor))
        top.set_xlabel("relative norm, ‖r‖ / ‖z‖ (%)")
        top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        top.xaxis.set_minor_formatter(NullFormatter())


def _scaled_by(factor: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    return (lambda value: np.asarray(value) * factor), (lambda value: np.asarray(value) / factor)
