"""Reliability diagrams: accuracy against confidence, a panel per role."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from psmt_viz.figures.shares import interval, percents
from psmt_viz.figures.style import (
    DOUBLE,
    SINGLE,
    drawing_on,
    new_figure,
    plain,
    require,
    role_color,
    shade,
    style,
)
from psmt_viz.results import Reliability
from psmt_viz.roles import role_of

_GAP: dict[str, Any] = {"facecolor": "none", "hatch": "//////", "linewidth": 0.4}


def figures(result: Reliability) -> dict[str, Figure]:
    """Returns the figures by the stem of their files."""
    return {"reliability": draw_reliability(result)}


def draw_reliability(reliability: Reliability) -> Figure:
    """Draws a reliability diagram for each role, above the share of the pixels that each bin of confidence holds.

    Args:
        reliability: The bins; roles without any have no panel.

    Returns:
        A figure 174 mm wide, up to four panels in a row.

    Raises:
        UserError: if there is no role.

    On Calibration of Modern Neural Networks (Guo et al., 2017), Fig. 1.
    """
    roles = list(dict.fromkeys(reliability.roles["role"]))
    require(len(roles) > 0, "roles with predictions", "none", "run psmt-viz reliability again")
    columns = max(4, len(roles))  # a lone panel would otherwise fill the page
    with style():
        figure = new_figure(DOUBLE, 62)
        grid = figure.subplots(2, columns, height_ratios=[3, 1], sharex=True, sharey="row", squeeze=False)
        for column, role in enumerate(roles):
            upper, lower = grid[:, column]
            draw_reliability_panel(reliability, role, ax=upper)
            upper.set_xlabel("")
            _draw_pixels(lower, reliability, role)
            if column:
                upper.set_ylabel("")
            else:
                lower.set_ylabel("pixels (%)")
        for ax in grid[:, len(roles) :].flat:
            ax.set_visible(False)
        handles = [
            Patch(facecolor=shade(0.55), label="accuracy, 95 % interval"),
            Patch(**_GAP, edgecolor=shade(0.35), label="gap to the mean confidence"),
            Line2D([], [], color=shade(0.35), linestyle=(0, (3, 2)), linewidth=0.8, label="accuracy = confidence"),
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
        figure.supxlabel("confidence: highest softmax probability of a pixel (%)", fontsize=7)
    return figure


def draw_reliability_panel(reliability: Reliability, role: str, *, ax: Axes | None = None) -> Axes:
    """Draws the accuracy in each bin of confidence, with its interval and the gap to the bin's mean confidence.

    Args:
        reliability: The bins.
        role: Whose predictions.
        ax: Axes to draw on; default: a new figure 84 mm wide.

    Returns:
        The axes drawn on; the title holds the expected calibration error.

    Raises:
        UserError: if there is no such role.
    """
    known = list(dict.fromkeys(reliability.roles["role"]))
    require(role in known, f"one of the roles {', '.join(known)}", repr(role), "choose another role")
    rows = _rows(reliability, role)
    left, width = 100 * rows["low"], 100 * (rows["high"] - rows["low"])
    accuracy, confidence = 100 * rows["accuracy"], 100 * rows["confidence"]
    with drawing_on(ax, height=SINGLE) as axes:
        axes.bar(left, accuracy, width, align="edge", color=role_color(role), linewidth=0, gid="accuracy")
        axes.bar(
            left,
            confidence - accuracy,
            width,
            bottom=accuracy,
            align="edge",
            edgecolor=shade(0.35),
            gid="gap",
            **_GAP,
        )
        ends = [accuracy - 100 * rows["accuracy_low"], 100 * rows["accuracy_high"] - accuracy]
        axes.errorbar(left + width / 2, accuracy, ends, fmt="none", ecolor=shade(0), elinewidth=0.7, capsize=1.2)
        axes.plot([0, 100], [0, 100], color=shade(0.35), linestyle=(0, (3, 2)), linewidth=0.8)
        axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="confidence (%)", ylabel="accuracy (%)")
        axes.set_title(f"{plain(role_of(role).label)}\n{_error_words(reliability, role)}")
    return axes


def _rows(reliability: Reliability, role: str) -> pd.DataFrame:
    rows = reliability.bins[reliability.bins["role"] == role]
    return rows[rows["pixels"] > 0]


def _draw_pixels(ax: Axes, reliability: Reliability, role: str) -> None:
    rows = _rows(reliability, role)
    shares = 100 * rows["pixels"] / rows["pixels"].sum()
    ax.bar(
        100 * rows["low"],
        shares,
        100 * (rows["high"] - rows["low"]),
        align="edge",
        color=shade(0.6),
        linewidth=0,
        gid="pixels",
    )
    ax.set_ylim(0, 100)


def _error_words(reliability: Reliability, role: str) -> str:
    """Returns the error with its interval, as the four roles are compared."""
    texts = percents(reliability.roles["ece"].tolist())
    found = dict(zip(reliability.roles["role"], texts, strict=True))
    low, high = reliability.roles.loc[reliability.roles["role"] == role, ["ece_low", "ece_high"]].to_numpy(float)[0]
    bounds = interval(low, high)
    return f"ECE {found[role]}, 95 % interval\n{bounds}" if bounds else f"ECE {found[role]}"
