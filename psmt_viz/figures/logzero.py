"""Logarithmic axes that have a zero: a line of its own at the bottom, labelled 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from psmt_viz.figures.style import shade


def floor_of(values: Any) -> float:
    """Returns where zero is drawn: the decade below every finite value above zero."""
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    positive = array[np.isfinite(array) & (array > 0)]
    # Without any, not even an upper bound is known; any decade will do then.
    return float(10.0 ** (np.floor(np.log10(positive.min())) - 1)) if len(positive) else 1e-3


def lifted(values: Any, floor: float) -> NDArray[np.float64]:
    """Returns the values as they are drawn: zero and less at the floor, what is not known (NaN) nowhere."""
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    return np.where(np.isnan(array), np.nan, np.where(array > 0, array, floor))


def draw_upper_bounds(ax: Axes, place: Any, rate: Any, high: Any, *, floor: float, color: Any, across: bool) -> None:
    """Draws how large each rate of 0 may be: a bar with a cap, from where zero is drawn up to its upper bound.

    Args:
        ax: Axes whose rates are on a logarithmic axis.
        place: (N,) places on the other axis.
        rate: (N,) rates; those above 0 are left out.
        high: (N,) upper bounds; where there is none above 0, nothing is drawn.
        floor: Where zero is drawn.
        color: Colour of bar and cap.
        across: Are rates on the y axis? Else on the x axis.
    """
    place, rate, high = (np.asarray(values, dtype=np.float64) for values in (place, rate, high))
    zero = (rate <= 0) & (high > 0)
    if not zero.any():
        return
    place, high = place[zero], high[zero]
    (ax.vlines if across else ax.hlines)(place, floor, high, color=color, linewidth=0.9, gid="bar of a zero")
    ends = (place, high) if across else (high, place)
    ax.plot(*ends, color=color, **_cap("_" if across else "|"), gid="upper bound of a zero")


def upper_bound_handle(*, across: bool = True) -> Line2D:
    """Returns an entry for the legend of a figure with upper bounds of zeros."""
    return Line2D([], [], color=shade(0.3), label="upper bound of 0", **_cap("_" if across else "|"))


def _cap(marker: str) -> dict[str, Any]:
    return {"linestyle": "", "marker": marker, "markersize": 6, "markeredgewidth": 1.2}


def label_axis(axis: Axis, floor: float, *, zero: bool) -> None:
    """Makes an axis logarithmic and labels its decades.

    Args:
        axis: The x or y axis of some axes.
        floor: Where zero is drawn.
        zero: Is anything drawn there? The axis then goes down to it and marks it with a line.
    """
    ax, name = axis.axes, "x" if isinstance(axis, XAxis) else "y"
    ax.set(**{f"{name}scale": "log"})
    if zero:
        getattr(ax, f"set_{name}lim")(floor / 1.6)
        (ax.axvline if name == "x" else ax.axhline)(floor, color=shade(0.8), linewidth=0.6, zorder=0)
    # Within one decade there might be no power of ten, and no label at all.
    low, high = np.log10(getattr(ax, f"get_{name}lim")())
    axis.set_major_locator(LogLocator(subs=(1.0,) if np.floor(high) > np.ceil(low) else (1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _decade(value, floor if zero else None)))
    axis.set_minor_formatter(NullFormatter())
    axis.grid(which="major")


def _decade(value: float, floor: float | None) -> str:
    if floor is not None and np.isclose(value, floor, rtol=1e-6):
        return "0"
    if 1e-4 < value < 1e5:
        return np.format_float_positional(float(f"{value:.6g}"), trim="-")
    exponent = round(np.log10(value))
    return f"$\\mathdefault{{10^{{{exponent}}}}}$" if np.isclose(value, 10.0**exponent, rtol=1e-6) else f"{value:.0e}"
