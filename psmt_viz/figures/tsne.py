"""Fig. 2: pixels on a t-SNE map, and which of them each perturbation turns wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from psmt_viz.figures.style import (
    DOUBLE,
    class_colors,
    class_markers,
    eps_text,
    flip_color,
    new_figure,
    number,
    plain,
    require,
    shade,
    style,
)
from psmt_viz.figures.tsne_words import BY, flips_by_both, flips_by_panel, moves
from psmt_viz.results import PixelEmbedding

_HEIGHT, _ROW = 84.0, 3.2
"""Height in mm with one row of the legend, and of each further row."""
_LAYERS = 10
_CELLS = 24
"""Squares along a side of the map, in each of which the mean move is one arrow."""
_LEAST_IN_CELL = 8
"""Pixels in a square below which its mean move is left out."""
TITLES = {"clean": "(a) original", "vat": "(b) + VAT", "tvat": "(c) + T-VAT"}


def figures(result: PixelEmbedding) -> dict[str, Figure]:
    """Returns the figures by the stem of their files."""
    return {"fig2_tsne": draw_tsne(result)}


def draw_tsne(embedding: PixelEmbedding, *, arrows: bool | None = None) -> Figure:
    """Draws the three panels of the map: original, with VAT noise, with T-VAT noise.

    Every pixel is a small point in its class's colour; a pixel whose prediction is now wrong is a red star on top
    instead, a hollow one where only one of the perturbations turns it wrong. The title of a panel holds the number and
    the share of stars, with its 95 % interval where it is known; the legend counts those of both and of one alone.
    Panels share their axes unless each has a map of its own.

    Args:
        embedding: The pixels. Of its facts `eps`, `relative_norm`, `layer`, `layout`, `perplexity`,
            `trustworthiness`, `knn_recall`, `median_move` and `placement_error` are printed where they are there.
        arrows: Whether to draw from where each flipped pixel came, and where the others went in the mean of each small
            square of the map; left out, as the setting `arrows` in `asked` says, or not.

    Returns:
        A figure 174 mm wide.

    Raises:
        UserError: if there are no pixels, or arrows are wanted between maps that have nothing to do with each other.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement Fig. 2.
    """
    require(len(embedding.pixels) > 0, "pixels to draw", "an empty table", "run psmt-viz tsne again")
    arrows = embedding.facts.get("arrows", False) if arrows is None else arrows
    separate = embedding.facts.get("layout") == "separate"
    require(not (arrows and separate), "--layout frozen or joint with --arrows", "separate maps", "leave one out")
    most = max(int(embedding.flipped(panel).sum()) for panel in PixelEmbedding.PANELS)
    with style():
        figure = new_figure(DOUBLE, _HEIGHT)
        axes = figure.subplots(1, 3, sharex=not separate, sharey=not separate)
        flips = flips_by_panel(embedding)
        for ax, panel in zip(axes, PixelEmbedding.PANELS, strict=True):
            _draw_panel(ax, embedding, panel, star_size=_star_size(most))
            count, bounds = flips[panel]
            ax.set_title(f"{TITLES[panel]}\n{count} flipped\n{bounds and f'95 % interval {bounds}'}")
            if arrows and panel != "clean":
                _draw_arrows(ax, embedding, panel)
            if separate:
                _set_square_limits(ax, embedding, (panel,))
        if not separate:
            _set_square_limits(axes[0], embedding, PixelEmbedding.PANELS)
        rows = _add_legend(figure, _handles(embedding, arrows=arrows))
        figure.set_figheight((_HEIGHT + _ROW * (rows - 1)) / 25.4)
        if footer := _footer(embedding.facts):
            # The label of the middle panel keeps its place in the arrangement, above the legend.
            axes[1].set_xlabel(footer, fontsize=6, color=shade(0.3))
    return figure


def _draw_panel(ax: Axes, embedding: PixelEmbedding, panel: str, *, star_size: float) -> None:
    pixels, flipped = embedding.pixels, embedding.flipped(panel)
    x, y, label = (pixels[name].to_numpy() for name in (f"x_{panel}", f"y_{panel}", "label"))
    count = len(embedding.classes)
    colors, markers = class_colors(count), class_markers(count)
    point_size = float(np.clip(1.5 * 25_000 / len(pixels), 1.5, 12.0))
    correct = [np.flatnonzero((label == index) & ~flipped) for index in np.unique(label)]
    # Layer by layer, a share of each class at a time: no class lies on another because of its number.
    for index, rows in (
        (label[rows[0]], rows[layer::_LAYERS]) for layer in range(_LAYERS) for rows in correct if len(rows)
    ):
        ax.scatter(
            x[rows],
            y[rows],
            s=point_size,
            c=colors[index],
            marker=markers[index],
            linewidths=0,
            snap=False,
            rasterized=True,  # 25,000 vector shapes would make a file that no viewer scrolls
            zorder=2,
            gid=f"class-{index}",
        )
    both = embedding.flipped_by()["both"]
    # Those of one perturbation alone are few and lie on top, or the others would hide them.
    for alone, stars in enumerate((flipped & both, flipped & ~both)):
        ax.scatter(
            x[stars],
            y[stars],
            s=1.6 * star_size if alone else star_size,  # room for what is hollow
            marker="*",
            **_star(hollow=bool(alone), large=star_size > 10),
            zorder=3 + alone / 10,
            gid="flipped-alone" if alone else "flipped-both",
        )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_box_aspect(1)
    ax.spines[:].set_visible(True)
    ax.spines[:].set_color(shade(0.7))


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


def _set_square_limits(ax: Axes, embedding: PixelEmbedding, panels: Sequence[str]) -> None:
    """Gives axes equal spans, so that distances on the map look alike in both directions."""
    middles, spans = [], []
    for axis in ("x", "y"):
        values: NDArray[Any] = embedding.pixels[[f"{axis}_{panel}" for panel in panels]].to_numpy()
        low, high = float(values.min()), float(values.max())
        middles.append((low + high) / 2)
        spans.append(high - low)
    half = 0.53 * max(*spans, 1e-6)
    ax.set_xlim(middles[0] - half, middles[0] + half)
    ax.set_ylim(middles[1] - half, middles[1] + half)


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
    by = flips_by_both(embedding)
    words = {
        flip_color(): f"now wrong with both: {by.pop('both')}",
        shade(1): f"with {', with '.join(f'{BY[name]}: {count}' for name, count in by.items())}",
    }
    stars = [
        Line2D([], [], linestyle="", marker="*", color=flip_color(), markerfacecolor=face, markersize=7, label=label)
        for face, label in words.items()
    ]
    arrow = [Line2D([], [], color=shade(0.15), linewidth=0.8, marker=">", markevery=[1], label="mean move")] * arrows
    return [*handles, *stars, *arrow]


def _footer(facts: Mapping[str, Any]) -> str:
    parts = []
    if facts.get("eps") is not None:
        parts.append(eps_text(facts))
    if (layer := facts.get("layer")) is not None:
        parts.append(f"features: {plain(layer)}")
    if (layout := facts.get("layout")) is not None:
        parts.append(f"{plain(layout)} map")
    named = {"perplexity": "perplexity", "trustworthiness": "trustworthiness", "knn_recall": "kNN recall"}
    parts += [f"{name} {number(facts[key])}" for key, name in named.items() if key in facts]
    return "\n".join(filter(None, ["   ·   ".join(parts), moves(facts)]))
