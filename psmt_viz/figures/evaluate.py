"""Confusion matrix and IoU of each class."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from psmt_viz.figures.pictures import shares_colormap, write_shares
from psmt_viz.figures.style import DOUBLE, SINGLE, drawing_on, plain, require, role_color, shade
from psmt_viz.metrics import iou, mean_iou
from psmt_viz.results import Evaluation
from psmt_viz.roles import ENSEMBLE, role_of

_MANY = 12
"""Classes from which on a figure needs the whole page's width."""


def figures(result: Evaluation) -> dict[str, Axes]:
    """Returns the figures by the stem of their files."""
    return {"confusion": draw_confusion(result), "class_iou": draw_class_iou(result)}


def draw_confusion(evaluation: Evaluation, role: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Draws what the pixels of each class are predicted as, in % of the class's pixels.

    A class that the truth does not hold has no shares; its row is hatched.

    Args:
        evaluation: The scores.
        role: Whose predictions; without, the ensemble's, or the first role's where there is no ensemble.
        ax: Axes to draw on; without, a new figure 84 mm wide (174 mm from 13 classes on).

    Returns:
        The axes drawn on.

    Raises:
        UserError: if the evaluation has no such role.
    """
    roles = list(evaluation.confusion)
    chosen = role or (ENSEMBLE if ENSEMBLE in roles else next(iter(roles), ""))
    require(chosen in roles, f"one of the roles {', '.join(roles) or '(none)'}", repr(role), "choose another role")
    counts = np.asarray(evaluation.confusion[chosen], dtype=np.float64)
    size, names = len(evaluation.classes), [plain(name) for name in evaluation.classes]
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100 * counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    width = DOUBLE if size > _MANY else SINGLE
    # seaborn takes a quarter of a second to import, which only this figure needs.
    import seaborn

    with drawing_on(ax, width=width, height=0.94 * width) as axes:
        seaborn.heatmap(
            shares,
            ax=axes,
            vmin=0,
            vmax=100,
            cmap=shares_colormap(),
            square=True,
            xticklabels=names,
            yticklabels=names,
            cbar_kws={"label": "share of the class's pixels (%)", "fraction": 0.046, "pad": 0.02},
        )
        # Not seaborn's own numbers: on middle blues these have half the contrast that text needs.
        write_shares(axes, shares, axes.collections[-1], fontsize=6 if size <= _MANY // 2 + 2 else 5, corner=0.5)
        for row in np.flatnonzero(totals[:, 0] == 0).tolist():
            axes.add_patch(Rectangle((0, row), size, 1, facecolor=shade(0.95), edgecolor=shade(0.75), hatch="////",
                           linewidth=0))  # fmt: skip
        axes.tick_params(length=0)
        axes.tick_params(axis="x", rotation=90)
        axes.tick_params(axis="y", rotation=0)
        axes.set_xlabel("prediction")
        axes.set_ylabel("truth")
        axes.set_title(f"{plain(role_of(chosen).label)}: mIoU {100 * mean_iou(counts):.2f} %")
    return axes


def draw_class_iou(evaluation: Evaluation, *, ax: Axes | None = None) -> Axes:
    """Draws each class's IoU, one marker per role, with each role's mean as a thin line.

    Args:
        evaluation: The scores; a class that is neither in the truth nor predicted has no IoU and no marker.
        ax: Axes to draw on; without, a new figure 84 mm wide.

    Returns:
        The axes drawn on.
    """
    size = len(evaluation.classes)
    with drawing_on(ax, height=24 + 4.5 * size) as axes:
        rows = np.arange(size)
        roles = list(evaluation.confusion)
        for index, role in enumerate(roles):
            matrix = evaluation.confusion[role]
            color = role_color(role)
            # Networks stand one below another within a class, or equal scores would hide each other.
            offset = 0.16 * (index - (len(roles) - 1) / 2)
            mean = 100 * mean_iou(matrix)
            label = f"{plain(role_of(role).label)} (mIoU {mean:.2f} %)"
            axes.plot(100 * iou(matrix), rows + offset, linestyle="", marker=role_of(role).marker, color=color,
                    markersize=3.2, label=label)  # fmt: skip
            axes.axvline(mean, color=color, linewidth=0.6, zorder=0)
        axes.set_yticks(rows, [plain(name) for name in evaluation.classes])
        axes.set_ylim(size - 0.5, -0.5)
        axes.set_xlim(-2, 102)
        axes.set_xlabel("IoU (%)")
        axes.grid(axis="y")
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, columnspacing=1)
    return axes
