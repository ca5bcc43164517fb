"""Fig. 2: pixels on a t-SNE map, and which of them each perturbation flips."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from psmt_viz.figures.style import (
    DOUBLE,
    SINGLE,
    class_colors,
    class_markers,
    drawing_on,
    flip_color,
    new_figure,
    plain,
    require,
    shade,
    style,
)
from psmt_viz.figures.tsne_words import flips_by, flips_by_panel, left_out, moves
from psmt_viz.figures.words import eps_words, map_measures, panel_words
from psmt_viz.results import PixelEmbedding

_FRAME = 9.0
"""Height in mm of a panel's title, without its first line."""
_BELOW, _ROW = 17.0, 3.2
"""Height in mm of what stands below the panels, two lines of text and a row of the legend; and of each further one."""
_LAYERS = 10
_CELLS = 24
"""Squares along a side of the map, in each of which the mean move is one arrow."""
_LEAST_IN_CELL = 8
"""Pixels in a square below which its mean move is left out."""
_LEGEND, _LINE = 70, 140
"""Letters of a line in the legend, and below the panels."""


def figures(result: PixelEmbedding) -> dict[str, Figure]:
    """Returns the figures by the stem of their files."""
    return {"fig2_tsne": draw_tsne(result)}


def draw_tsne(embedding: PixelEmbedding, *, arrows: bool | None = None) -> Figure:
    """Draws all panels of the map: the original pixels, and those of each perturbation.

    The title of a panel holds the number and the share of stars, with its 95 % interval where it is known; the legend
    counts those of all perturbations and of one alone. Panels share their axes unless each has a map of its own. What
    one panel shows is said in `draw_tsne_panel`.

    Args:
        embedding: The pixels. Of its facts `eps`, `relative_norm`, `layer`, `layout`, `perplexity`,
            `trustworthiness`, `knn_recall`, `median_move` and `placement_error` are printed where they are there.
        arrows: Whether to draw from where each flipped pixel came, and where the others went in the mean of each small
            square of the map. Default: the setting `arrows` in `asked`, or no.

    Returns:
        A figure 174 mm wide, with two or three panels in a row.

    Raises:
        UserError: if there are no pixels, or arrows are wanted between maps that have nothing to do with each other.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement Fig. 2.
    """
    arrows = _checked(embedding, arrows)
    panels, separate = embedding.panels, _are_separate(embedding)
    columns = 2 if len(panels) in (2, 4) else 3
    rows = -(-len(panels) // columns)
    height = rows * (DOUBLE / columns + _FRAME) + _BELOW
    with style():
        figure = new_figure(DOUBLE, height)
        axes = figure.subplots(rows, columns, sharex=not separate, sharey=not separate, squeeze=False)
        for number, (ax, panel) in enumerate(zip(axes.flat, panels, strict=False)):
            draw_tsne_panel(embedding, panel, arrows=arrows, ax=ax)
            ax.set_title(f"({'abcdefghijklmnopqrstuvwxyz'[number]}) {ax.get_title()}")
        for ax in axes.flat[len(panels) :]:
            ax.set_visible(False)
        handles = _handles(embedding, arrows=arrows)
        footer = _footer(embedding.facts)
        more = _add_legend(figure, handles) - 1 + max(0, footer.count("\n") - 1)
        figure.set_figheight((height + _ROW * more) / 25.4)
        if footer:
            # The label of a panel keeps its place in the arrangement, above the legend.
            last = len(panels) - columns * (rows - 1) - 1
            middle = (columns - 1) / 2
            below = min(last, int(middle))
            axes[-1, below].set_xlabel(plain(footer), fontsize=6, color=shade(0.3), x=0.5 + middle - below)
        if rows > 1:
            figure.draw_without_rendering()  # titles between rows need a second pass to find their places
    return figure


def draw_tsne_panel(
    embedding: PixelEmbedding, panel: str, *, arrows: bool | None = None, ax: Axes | None = None
) -> Axes:
    """Draws one panel of the map.

    Every pixel is a small point in its class's colour; a pixel whose prediction is wrong in this panel is a red star on
    top instead: a full one where every perturbation of the map turns it wrong, a hollow one where others do not. Points
    have labels, so that `ax.legend()` names the classes.

    Args:
        embedding: The pixels.
        panel: `clean`, or one of the map's perturbations.
        arrows: As in `draw_tsne`; the panel `clean` has none.
        ax: Axes to draw on; without, a new figure 84 mm wide.

    Returns:
        The axes drawn on.

    Raises:
        UserError: as `draw_tsne`, or if the map has no such panel.
    """
    arrows = _checked(embedding, arrows)
    known = embedding.panels
    require(panel in known, f"a panel among {', '.join(known)}", repr(panel), "choose one of them")
    with drawing_on(ax, height=SINGLE + _FRAME) as axes:
        _draw_points(axes, embedding, panel)
        count, bounds = flips_by_panel(embedding)[panel]
        axes.set_title(f"{plain(panel_words(panel))}\n{count} flipped\n{bounds}")
        if arrows and panel != known[0]:
            _draw_arrows(axes, embedding, panel)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_box_aspect(1)
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(shade(0.7))
        limits = square_limits(embedding, (panel,) if _are_separate(embedding) else known)
        axes.set_xlim(limits[0])
        axes.set_ylim(limits[1])
    return axes


def square_limits(embedding: PixelEmbedding, panels: Sequence[str]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns the ends of the x and of the y axis: equally long, so that distances look alike in both directions."""
    middles, spans = [], []
    for axis in "xy":
        values: NDArray[Any] = embedding.pixels[[f"{axis}_{panel}" for panel in panels]].to_numpy(float)
        low, high = float(values.min()), float(values.max())
        middles.append((low + high) / 2)
        spans.append(high - low)
    half = 0.53 * max(*spans, 1e-6)
    x, y = ((middle - half, middle + half) for middle in middles)
    return x, y


def _checked(embedding: PixelEmbedding, arrows: bool | None) -> bool:
    """Returns whether there shall be arrows, once it is known that there can be a figure."""
    require(len(embedding.pixels) > 0, "pixels to draw", "an empty table", "run psmt-viz tsne again")
    wanted = embedding.facts.get("arrows", False) if arrows is None else arrows
    possible = not (wanted and _are_separate(embedding))
    require(possible, "--layout frozen or joint with --arrows", "separate maps", "leave one out")
    return bool(wanted)


def _are_separate(embedding: PixelEmbedding) -> bool:
    return embedding.facts.get("layout") == "separate"


def _draw_points(ax: Axes, embedding: PixelEmbedding, panel: str) -> None:
    pixels, flipped = embedding.pixels, embedding.flipped(panel)
    x, y, label = (pixels[name].to_numpy() for name in (f"x_{panel}", f"y_{panel}", "label"))
    count = len(embedding.classes)
    colors, markers = class_colors(count), class_markers(count)
    point_size = float(np.clip(1.5 * 25_000 / len(pixels), 1.5, 12.0))
    correct = [np.flatnonzero((label == index) & ~flipped) for index in np.unique(label)]
    # Layer by layer, a share of each class at a time: no class lies on another because of its number.
    for index, rows, first in (
        (label[rows[0]], rows[layer::_LAYERS], not layer) for layer in range(_LAYERS) for rows in correct if len(rows)
    ):
        ax.scatter(
            x[rows],
            y[rows],
            label=plain(embedding.classes[index]) if first else None,
            s=point_size,
            c=colors[index],
            marker=markers[index],
            linewidths=0,
            snap=False,
            rasterized=True,  # 25,000 vector shapes would make a file that no viewer scrolls
            zorder=2,
            gid=f"class-{index}",
        )
    star_size = _star_size(max(int(embedding.flipped(each).sum()) for each in embedding.panels))
    shared = next(iter(embedding.flipped_by().values()))
    # Those that not every perturbation flips are few and lie on top, or the others would hide them.
    for hollow, stars in enumerate((flipped & shared, flipped & ~shared)):
        ax.scatter(
            x[stars],
            y[stars],
            s=1.6 * star_size if hollow else star_size,  # room for what is hollow
            marker="*",
            **_star(hollow=bool(hollow), large=star_size > 10),
            zorder=3 + hollow / 10,
            gid="flipped-alone" if hollow else "flipped-both",
        )


def _star_size(most: int) -> float:
    """Returns one area (pt²) for the stars of all panels: large while they are few, never below 5."""
    return float(np.clip(30 * math.sqrt(100 / max(most, 1)), 5, 30))


def _star(*, hollow: bool, large: bool) -> dict[str, Any]:
    """Returns how a star looks: hollow ones differ from full ones without colour too."""
    if hollow:
        width = 0.8 if large else 0.5
        halo = withStroke(linewidth=width + 1, foreground=shade(1))  # in grey the edge would be lost among dark points
        return {"facecolors": shade(1), "edgecolors": flip_color(), "linewidths": width, "path_effects": [halo]}
    # An edge sets few stars off and washes many out.
    return {"facecolors": flip_color(), "edgecolors": shade(1), "linewidths": 0.35 if large else 0}


def _draw_arrows(ax: Axes, embedding: PixelEmbedding, panel: str) -> None:
    """Draws the ways of flipped pixels in red, and the mean way of the others in each small square of the map."""
    pixels, flipped = embedding.pixels, embedding.flipped(panel)
    start, end = (pixels[[f"x_{name}", f"y_{name}"]].to_numpy() for name in ("clean", panel))
    span = max(np.ptp(start, axis=0).max(), 1e-6)
    cells = np.floor((start - start.min(axis=0)) / span * _CELLS).astype(int) @ (1, _CELLS + 1)
    _, cells, counts = np.unique(cells[~flipped], return_inverse=True, return_counts=True)
    means = [
        np.stack([np.bincount(cells, weights=values[~flipped, axis]) / counts for axis in range(2)], axis=1)
        for values in (start, end)
    ]
    full = counts >= _LEAST_IN_CELL
    for (tail, head), color, width, name in (
        ((means[0][full], means[1][full]), shade(0.15), 0.0035, "mean-moves"),
        ((start[flipped], end[flipped]), flip_color(), 0.003, "flipped-moves"),
    ):
        ax.quiver(
            *tail.T,
            *(head - tail).T,
            angles="xy",
            scale_units="xy",
            scale=1,
            color=color,
            width=width,
            headwidth=4,
            headlength=5,
            headaxislength=4.5,
            minlength=0,
            zorder=2.5,
            gid=name,
        )


def _add_legend(figure: Figure, handles: list[Line2D]) -> int:
    """Adds a legend below the panels, of as many columns as the page's width holds; returns its number of rows."""
    for columns in range(min(len(handles), 8), 0, -1):
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2)
        # Letters are some percent wider or narrower at another resolution.
        if columns == 1 or legend.get_window_extent().width < 0.96 * figure.bbox.width:
            break
        legend.remove()
    return -(-len(handles) // columns)


def _handles(embedding: PixelEmbedding, *, arrows: bool) -> list[Line2D]:
    count = len(embedding.classes)
    colors, markers = class_colors(count), class_markers(count)
    handles = [
        Line2D(
            [], [], linestyle="", marker=markers[i], color=colors[i], markersize=4, label=plain(embedding.classes[i])
        )
        for i in np.unique(embedding.pixels["label"].to_numpy())
    ]
    by = flips_by(embedding)
    (everything, shared), *others = by.items()
    words = {flip_color(): f"now wrong with {everything}: {shared}"}
    if others:
        words[shade(1)] = fill(f"with {', with '.join(f'{name}: {count}' for name, count in others)}", _LEGEND)
    stars = [
        Line2D(
            [], [], linestyle="", marker="*", color=flip_color(), markerfacecolor=face, markersize=7, label=plain(label)
        )
        for face, label in words.items()
    ]
    if arrows:
        stars.append(Line2D([], [], color=shade(0.15), linewidth=0.8, marker=">", markevery=[1], label="mean move"))
    return [*handles, *stars]


def _footer(facts: Mapping[str, Any]) -> str:
    parts = [eps_words(facts)]
    if (layer := facts.get("layer")) is not None:
        parts.append(f"features: {layer}")
    if (layout := facts.get("layout")) is not None:
        parts.append(f"{layout} map")
    parts += map_measures(facts)
    lines = ["   ·   ".join(filter(None, parts)), fill(moves(facts), _LINE), fill(left_out(facts), _LINE)]
    return "\n".join(filter(None, lines))
