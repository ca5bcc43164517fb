"""Fig. 1: class activation maps of an image, before and after each perturbation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from psmt_viz.figures.pictures import clear, dimmed
from psmt_viz.figures.shares import digits_apart, percent, percents
from psmt_viz.figures.style import DOUBLE, SINGLE, class_colormap, drawing_on, new_figure, plain, require, style
from psmt_viz.figures.words import change_words, eps_words, panel_words
from psmt_viz.kinds import CLEAN
from psmt_viz.metrics import IGNORE
from psmt_viz.results import Cam, Cams

COLORMAP = ListedColormap(colormaps["turbo"](np.linspace(0.04, 0.92, 256)), name="turbo-red")
"""Readers of the paper expect red = high. Turbo has that without jet's false edges; its dark ends are cut."""
CHANGE_COLORMAP = colormaps["RdBu_r"]
"""Red = more, blue = less; told apart with any colour vision."""

_WORDS = 11.3
"""Height in mm of what is written between two rows."""
_SHOWN = 0.995
"""Quantile of the changes at which their colours end; with the very largest, the others would be too pale to see."""
_BAR = 0.07
"""Width of a scale beside its pictures, in widths of a picture."""
_SIDES = {1: 26.1, 2: 18.8}
"""Perturbations in a row -> width of a picture in mm, as it comes out beside the bars and their numbers."""
_TITLE = 5.0
"""Height in mm of titles above every row, where an image has several."""
_LONGEST = 16
"""Letters of a title that is as wide as its picture."""
_MOST = 2
"""Perturbations in a row; more go into further rows of the same image."""


def figures(result: Cams) -> dict[str, Figure]:
    """Returns the figures by the stem of their files."""
    return {"fig1_gradcam": draw_gradcam(result)}


def draw_gradcam(cams: Cams) -> Figure:
    """Draws one row per image: input, truth and prediction, the maps before and after each perturbation, their changes.

    The maps of an image share one scale from 0 to their highest value, so that their reds can be compared. What each
    perturbation changed is drawn on a scale of its own, because it can be too small to see in the maps. What stands
    below is said in `draw_cam_panel` and `draw_cam_change`. With more than two perturbations an image has several rows.

    Args:
        cams: The maps; each with its image, truth and prediction.

    Returns:
        A figure 174 mm wide.

    Raises:
        UserError: if there are no maps.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement Fig. 1.
    """
    require(len(cams.cams) > 0, "images with maps", "none", "run psmt-viz gradcam again")
    kinds = cams.perturbations
    groups = [kinds[start : start + _MOST] for start in range(0, len(kinds), _MOST)]
    wide = len(groups[0])
    widths = (1, 1, 1, *[1] * wide, _BAR, *[1] * wide, _BAR)
    side = _SIDES[wide]
    several = len(groups) > 1
    ratios = [cam.image.shape[0] / cam.image.shape[1] for cam in cams.cams for _ in groups]
    with style():
        figure = new_figure(DOUBLE, sum(side * ratio + _WORDS + several * _TITLE for ratio in ratios) + 10)
        grid = figure.add_gridspec(len(ratios), len(widths), width_ratios=widths, height_ratios=ratios)
        for row in range(len(cams.cams)):
            for number, group in enumerate(groups):
                place = row * len(groups) + number
                axes = [figure.add_subplot(grid[place, column]) for column in range(len(widths))]
                _draw_row(axes, cams, row, group, first=number == 0, titled=row == 0 or several)
        figure.suptitle(plain(_title(cams)))
    return figure


def draw_cam_panel(cams: Cams, row: int, panel: str, *, ax: Axes | None = None) -> Axes:
    """Draws one map over its pale image, with the true outline of the class.

    Below stand the map's faithfulness (does the network need what the map points at? 1 at best, about 0 for a map that
    says nothing) and how much its mass (its sum) changed.

    Args:
        cams: The maps.
        row: Which image.
        panel: `clean`, or one of the perturbations.
        ax: Axes to draw on; without, a new figure 84 mm wide.

    Returns:
        The axes drawn on; its last image has the scale that all maps of the image share.

    Raises:
        UserError: if there is no such image or panel.
    """
    cam = _cam_at(cams, row, panel, (CLEAN, *cams.perturbations))
    with drawing_on(ax, height=SINGLE * cam.image.shape[0] / cam.image.shape[1] + _WORDS) as axes:
        clear(axes)
        axes.imshow(dimmed(cam.image), cmap="gray", vmin=0, vmax=1)
        axes.imshow(cam.maps[panel], cmap=COLORMAP, vmin=0, vmax=_peak(cam), alpha=0.65, gid=f"map-{panel}")
        _outline(axes, _inside(cams, cam))
        axes.set_title(plain(panel_words(panel)))
        axes.set_xlabel("\n".join(_map_words(cams, row, panel)), fontsize=6)
    return axes


def draw_cam_change(cams: Cams, row: int, panel: str, *, ax: Axes | None = None) -> Axes:
    """Draws how much one perturbation changed a map, red for more and blue for less.

    The scale goes from minus to plus the change that all but 0.5 % of the image's pixels keep below. Below stand the
    summed absolute change as a share of the map's total, and the largest change beside the highest value of the maps.

    Args:
        cams: The maps.
        row: Which image.
        panel: One of the perturbations.
        ax: Axes to draw on; without, a new figure 84 mm wide.

    Returns:
        The axes drawn on.

    Raises:
        UserError: if there is no such image or perturbation.
    """
    kinds = cams.perturbations
    cam = _cam_at(cams, row, panel, kinds)
    place = kinds.index(panel)
    end = _positive(float(np.nanquantile([np.abs(cam.change(name)) for name in kinds], _SHOWN)))
    numbers = _numbers(cams, row)
    moved = percents([numbers.get(f"moved_{name}", math.nan) for name in kinds])[place]
    large = percents([float(np.nanmax(np.abs(cam.change(name)))) / _peak(cam) for name in kinds])[place]
    with drawing_on(ax, height=SINGLE * cam.image.shape[0] / cam.image.shape[1] + _WORDS) as axes:
        clear(axes)
        axes.imshow(cam.change(panel), cmap=CHANGE_COLORMAP, vmin=-end, vmax=end, gid=f"change-{panel}")
        _outline(axes, _inside(cams, cam))
        title = change_words(panel)
        axes.set_title(plain(title if len(title) <= _LONGEST else title.replace(" − ", "\n− ")))
        axes.set_xlabel(f"moved {moved}\n≤ {large} of peak", fontsize=6)
    return axes


def _title(cams: Cams) -> str:
    names = {"cam_method": "method", "layer": "layer"}
    known = [f"{text} {cams.facts[name]}" for name, text in names.items() if name in cams.facts]
    return ", ".join(filter(None, [*known, eps_words(cams.facts)]))


def _draw_row(axes: Sequence[Axes], cams: Cams, row: int, kinds: Sequence[str], *, first: bool, titled: bool) -> None:
    """Draws a row of an image: its first one with the image itself, and titles above those of the first image."""
    cam, wide = cams.cams[row], (len(axes) - 5) // 2
    inputs, maps, map_bar = axes[:2], axes[2 : 3 + wide], axes[3 + wide]
    changes, change_bar = axes[4 + wide : -1], axes[-1]
    for ax in axes:
        ax.set_visible(False)
    ratio = cam.image.shape[0] / cam.image.shape[1]
    shown = [*zip(maps[1:], kinds, strict=False)]
    if first:
        _draw_inputs(inputs, cams, cam)
        shown = [(maps[0], CLEAN), *shown]
    for ax, panel in shown:
        draw_cam_panel(cams, row, panel, ax=ax)
    for ax, panel in zip(changes, kinds, strict=False):
        draw_cam_change(cams, row, panel, ax=ax)
    _draw_bar(shown[-1][0].images[-1], map_bar, ratio)
    _draw_bar(changes[len(kinds) - 1].images[-1], change_bar, ratio)
    drawn = [*(inputs if first else ()), *(ax for ax, _ in shown), *changes[: len(kinds)]]
    for ax in (*drawn, map_bar, change_bar):
        ax.set_visible(True)
    if not titled:
        for ax in drawn:
            ax.set_title("")


def _draw_inputs(axes: Sequence[Axes], cams: Cams, cam: Cam) -> None:
    for ax, title in zip(axes, ("input", "prediction\n(line: truth)"), strict=True):
        clear(ax)
        ax.set_title(title)
    axes[0].imshow(cam.image)
    axes[0].set_ylabel(plain(f"{cam.image_id}\n{cam.class_name}"), fontsize=6)
    _draw_prediction(axes[1], cam, len(cams.classes))


def _cam_at(cams: Cams, row: int, panel: str, known: Sequence[str]) -> Cam:
    require(0 <= row < len(cams.cams), f"one of {len(cams.cams)} images", f"number {row}", "count them from 0")
    require(panel in known, f"a panel among {', '.join(known)}", repr(panel), "choose one of them")
    return cams.cams[row]


def _peak(cam: Cam) -> float:
    """Returns the end of the scale that the maps of an image share."""
    return _positive(max(float(np.nanmax(values)) for values in cam.maps.values()))


def _inside(cams: Cams, cam: Cam) -> NDArray[np.bool_]:
    return cam.truth == (cams.classes.index(cam.class_name) if cam.class_name in cams.classes else -1)


def _draw_prediction(ax: Axes, cam: Cam, count: int) -> None:
    ax.imshow(dimmed(cam.image), cmap="gray", vmin=0, vmax=1)
    shown = np.ma.masked_equal(cam.prediction, IGNORE)
    ax.imshow(shown, cmap=class_colormap(count), vmin=0, vmax=max(count - 1, 1), alpha=0.6)
    for index in np.unique(cam.truth[cam.truth < count]):
        _outline(ax, cam.truth == index)


def _draw_bar(shown: AxesImage, ax: Axes, ratio: float) -> None:
    """Draws the colours of a picture as a bar as tall as it; `ratio` is the picture's height over its width."""
    signed = shown.get_clim()[0] < 0
    opaque = ScalarMappable(shown.norm, shown.cmap)
    bar: Colorbar = ax.figure.colorbar(opaque, cax=ax, extend="both" if signed else "neither")
    ax.set_box_aspect(ratio / _BAR / (1.1 if signed else 1))  # without the bar's two ends
    bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=4, symmetric=signed))
    bar.ax.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
    bar.ax.yaxis.get_offset_text().set_fontsize(5)
    bar.ax.tick_params(labelsize=5)
    bar.outline.set_visible(False)


def _outline(ax: Axes, mask: NDArray[np.bool_]) -> None:
    # Black under white is seen on any colour.
    if mask.any() and not mask.all():
        ax.contour(mask, levels=[0.5], colors="black", linewidths=0.9)
        ax.contour(mask, levels=[0.5], colors="white", linewidths=0.45)


def _positive(value: float) -> float:
    """Returns the end of a scale, also where a map is blank or nothing changed."""
    return value if math.isfinite(value) and value > 0 else 1.0


def _numbers(cams: Cams, row: int) -> dict[str, float]:
    """Returns an image's row of the saved table, or nothing if the table has another image or class there."""
    if len(cams.table) != len(cams.cams):
        return {}
    own, cam = cams.table.iloc[row], cams.cams[row]
    same = (own["image"], own["class"]) == (cam.image_id, cam.class_name)
    return {name: float(own[name]) for name in own.index if name not in ("image", "class")} if same else {}


def _map_words(cams: Cams, row: int, panel: str) -> list[str]:
    """Returns what is written below a map, a line each."""
    numbers = _numbers(cams, row)
    faithful = numbers.get(f"faithfulness_{panel}", math.nan)
    words = [f"faithful {faithful:.3f}".replace("-", "−") if math.isfinite(faithful) else "faithful not known"]
    if panel != CLEAN:
        changes = {other: numbers.get(f"change_{other}", math.nan) for other in cams.perturbations}
        sign = "−" if changes[panel] < 0 else "+" if changes[panel] >= 0 else ""
        words.append(f"mass {sign}{percent(abs(changes[panel]), digits_apart(changes.values()))}")
    return words
