"""One image under every kind of perturbation: the pixels that flip, and where the perturbation is large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter

from psmt_viz.figures.kinds import look
from psmt_viz.figures.pictures import class_handles, clear, dimmed, draw_classes
from psmt_viz.figures.shares import percents
from psmt_viz.figures.style import DOUBLE, FLIP_COLOR, new_figure, plain, require, style
from psmt_viz.figures.words import eps_words, judged_by
from psmt_viz.kinds import kinds_in_order
from psmt_viz.results import CloseUp

_PAIRS = 3
"""Kinds side by side, each with two pictures."""
_SIDE = 27.5
"""Width of a picture in mm."""
_TALLEST = 200.0
_SMALLEST = 1.3
"""Side of a flipped pixel in pt; a pixel of a large image would otherwise not be printed."""
_SPREAD = 10
"""Largest over median magnitude from which on a linear scale would show nothing but the peaks."""


def figures(result: CloseUp) -> dict[str, Figure]:
    """Returns the figures by the stem of their files."""
    return {"closeup": draw_closeup(result)}


def draw_closeup(closeup: CloseUp) -> Figure:
    """Draws an image, its truth and prediction, and two panels per kind: flipped pixels and size of the perturbation.

    The size at each place of the feature map is on one scale for all kinds: linear from 0, or logarithmic where peaks
    are more than 10 times the median; places without any perturbation then have the lowest colour.

    Args:
        closeup: The image; its facts eps, relative_norm, norm and judge are printed where they are there.

    Returns:
        A figure 174 mm wide and at most 200 mm tall.

    Raises:
        UserError: if there is no kind.
    """
    kinds = kinds_in_order(closeup.moved)
    require(len(kinds) > 0, "kinds of perturbation", "none", "run psmt-viz perturb with --closeup again")
    rows = -(-len(kinds) // _PAIRS)
    tall = _SIDE * closeup.image.shape[0] / closeup.image.shape[1]
    handles, columns = _handles(closeup)
    first = max(tall, 11 + 3.2 * -(-len(handles) // columns))
    with style():
        figure = new_figure(DOUBLE, min(8 + first + rows * tall + 8.5 * (rows + 1), _TALLEST))
        grid = figure.add_gridspec(rows + 1, 2 * _PAIRS, height_ratios=[first, *[tall] * rows])
        shown = (("image", closeup.image), ("truth", closeup.truth), ("prediction", closeup.prediction))
        for column, (title, values) in enumerate(shown):
            ax = figure.add_subplot(grid[0, column])
            clear(ax)
            ax.set_title(title)
            draw_classes(ax, values, len(closeup.classes)) if values.ndim == 2 else ax.imshow(values)
        cmap, norm = _scale(closeup)
        _draw_key(figure, grid[0, 3:], closeup, ScalarMappable(norm, cmap))
        shares = _shares(closeup, kinds)
        for index, kind in enumerate(kinds):
            row, column = 1 + index // _PAIRS, 2 * (index % _PAIRS)
            _draw_flips(figure.add_subplot(grid[row, column]), closeup, kind, shares[index])
            _draw_magnitude(figure.add_subplot(grid[row, column + 1]), closeup, kind, cmap, norm)
        figure.suptitle(_title(closeup))
    return figure


def _scale(closeup: CloseUp) -> tuple[Colormap, Normalize]:
    values = np.concatenate([np.ravel(each) for each in closeup.magnitude.values()])
    positive = values[np.isfinite(values) & (values > 0)].astype(float)
    viridis = colormaps["viridis"]
    cmap = viridis.with_extremes(bad=viridis(0))  # a logarithmic scale has no zero
    if not len(positive):
        return cmap, Normalize(0, 1)
    high = float(positive.max())
    if high <= _SPREAD * np.median(positive):
        return cmap, Normalize(0, high)
    return cmap, LogNorm(max(float(np.quantile(positive, 0.02)), high / 1e4), high, clip=True)


def _shares(closeup: CloseUp, kinds: Sequence[str]) -> list[str]:
    """Returns which share of the correct pixels each kind flips."""
    correct = int((closeup.prediction == closeup.truth).sum())
    if not correct:
        return ["no correct pixel"] * len(kinds)
    return percents([int(closeup.flipped(kind).sum()) / correct for kind in kinds])


def _draw_flips(ax: Axes, closeup: CloseUp, kind: str, share: str) -> None:
    clear(ax)
    ax.imshow(dimmed(closeup.image), cmap="gray", vmin=0, vmax=1)
    flipped = closeup.flipped(kind)
    rows, columns = np.nonzero(flipped)
    side = max(_SMALLEST, _SIDE / 25.4 * 72 / flipped.shape[1])
    ax.scatter(columns, rows, s=side**2, marker="s", c=FLIP_COLOR, linewidths=0, rasterized=True, gid=f"flipped {kind}")
    ax.set_xlim(-0.5, flipped.shape[1] - 0.5)
    ax.set_ylim(flipped.shape[0] - 0.5, -0.5)
    ax.set_title(f"{look(kind).title}\n{len(rows):,} flipped ({share})", fontsize=6, loc="left")


def _draw_magnitude(ax: Axes, closeup: CloseUp, kind: str, cmap: Colormap, norm: Normalize) -> None:
    clear(ax)
    values = closeup.magnitude[kind]
    # Places of the feature map are larger than pixels and lie on the same ground.
    height, width = closeup.image.shape[:2]
    ax.imshow(values, cmap=cmap, norm=norm, extent=(-0.5, width - 0.5, height - 0.5, -0.5), gid=f"magnitude {kind}")
    ax.set_title(f"size of r\nat most {float(np.nanmax(values)):.2g}", fontsize=6, loc="left")


def _draw_key(figure: Figure, cell: Any, closeup: CloseUp, scale: ScalarMappable) -> None:
    """Draws the classes' colours and the scale of the magnitudes beside the first row."""
    classes, bar = (figure.add_subplot(part) for part in cell.subgridspec(2, 1, height_ratios=[6, 1]))
    clear(classes)
    handles, columns = _handles(closeup)
    legend = classes.legend(handles=handles, loc="upper left", ncols=columns, handlelength=1.2, columnspacing=1,
                            borderaxespad=0)  # fmt: skip
    legend.set_in_layout(False)  # the row is tall enough; its pictures must not shrink for it
    drawn = figure.colorbar(scale, cax=bar, orientation="horizontal", extend="min" if isinstance(scale.norm, LogNorm)
                            else "neither")  # fmt: skip
    drawn.set_label("size of r at a place of the feature map")
    drawn.outline.set_visible(False)
    drawn.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    drawn.ax.xaxis.set_minor_formatter(NullFormatter())


def _handles(closeup: CloseUp) -> tuple[list[Patch], int]:
    """Returns the legend's entries and its number of columns."""
    present = np.union1d(closeup.truth, closeup.prediction)
    flipped = Patch(color=FLIP_COLOR, label="correct pixel, now wrong")
    handles = [flipped, *class_handles(present, closeup.classes)]
    return handles, 3 if len(handles) < 7 else 4


def _title(closeup: CloseUp) -> str:
    facts = closeup.facts
    parts = [closeup.image_id]
    if size := eps_words(facts):
        parts.append(f"{size} per {facts['norm']}" if "norm" in facts else size)
    if "judge" in facts:
        parts.append(judged_by(str(facts["judge"])))
    return plain("   ·   ".join(parts))
