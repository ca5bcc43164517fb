"""Fig. 1: what speaks for a class in an image, before and after each perturbation."""

from __future__ import annotations

import math

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
from psmt_viz.figures.style import DOUBLE, class_colormap, eps_text, new_figure, plain, require, style
from psmt_viz.metrics import IGNORE
from psmt_viz.results import Cam, Cams

TITLES = {"clean": "original", "vat": "+ VAT", "tvat": "+ T-VAT"}
CHANGES = {"vat": "VAT − original", "tvat": "T-VAT − original"}
COLORMAP = ListedColormap(colormaps["turbo"](np.linspace(0.04, 0.92, 256)), name="turbo-red")
"""Readers of the paper expect red = high. Turbo has that without jet's false edges; its dark ends are cut."""
CHANGE_COLORMAP = colormaps["RdBu_r"]
"""Red = more, blue = less; told apart with any colour vision."""

_SIDE = 18.8
"""Width of a picture in mm, as it comes out beside the bars and their numbers."""
_WORDS = 11.3
"""Height in mm of what is written between two rows."""
_SHOWN = 0.995
"""Quantile of the changes at which their colours end; with the very largest, the others would be too pale to see."""
_WIDTHS = (1, 1, 1, 1, 1, 0.07, 1, 1, 0.07)


def figures(result: Cams) -> dict[str, Figure]:
    """Returns the figures by the stem of their files."""
    return {"fig1_gradcam": draw_gradcam(result)}


def draw_gradcam(cams: Cams) -> Figure:
    """Draws one row an image: input, truth and prediction, the maps before and after VAT and T-VAT, and their changes.

    The three maps of a row share one scale from 0 to the row's highest value, so that their reds can be compared. What
    each perturbation changed is drawn on a scale of its own, because it can be too small to see in the maps: from minus
    to plus the change that all but 0.5 % of the row's pixels keep below. Below the maps stand their faithfulness (does
    the network need what the map points at? 1 at best, about 0 for a map that says nothing) and how much their mass
    (their sum) changed; below the changes, which share of the mass moved, and the largest change beside the highest
    value of the three maps.

    Args:
        cams: The maps; each with its image, truth and prediction.

    Returns:
        A figure 174 mm wide.

    Raises:
        UserError: if there are no maps.

    Perturbed and Strict Mean Teachers for Semi-supervised Semantic Segmentation (Liu et al., 2022), supplement Fig. 1.
    """
    require(len(cams.cams) > 0, "images with maps", "none", "run psmt-viz gradcam again")
    ratios = [cam.image.shape[0] / cam.image.shape[1] for cam in cams.cams]
    with style():
        figure = new_figure(DOUBLE, sum(_SIDE * ratio + _WORDS for ratio in ratios) + 10)
        grid = figure.add_gridspec(len(cams.cams), len(_WIDTHS), width_ratios=_WIDTHS, height_ratios=ratios)
        for row in range(len(cams.cams)):
            axes = [figure.add_subplot(grid[row, column]) for column in range(len(_WIDTHS))]
            _draw_row(figure, axes, cams, row)
        figure.suptitle(_title(cams))
    return figure


def _title(cams: Cams) -> str:
    names = {"cam_method": "method", "layer": "layer"}
    known = [f"{text} {plain(cams.facts[name])}" for name, text in names.items() if name in cams.facts]
    return ", ".join([*known, eps_text(cams.facts)])


def _draw_row(figure: Figure, axes: list[Axes], cams: Cams, row: int) -> None:
    cam = cams.cams[row]
    inputs, maps, map_bar, changes, change_bar = axes[:2], axes[2:5], axes[5], axes[6:8], axes[8]
    titles = ["input", "prediction\n(line: truth)", *TITLES.values(), *CHANGES.values()]
    for ax, title in zip([*inputs, *maps, *changes], titles, strict=True):
        clear(ax)
        if row == 0:
            ax.set_title(title)
    inputs[0].imshow(cam.image)
    inputs[0].set_ylabel(f"{plain(cam.image_id)}\n{plain(cam.class_name)}", fontsize=6)
    _draw_prediction(inputs[1], cam, len(cams.classes))

    ratio = cam.image.shape[0] / cam.image.shape[1]
    outline = cam.truth == (cams.classes.index(cam.class_name) if cam.class_name in cams.classes else -1)
    high = _positive(max(float(np.nanmax(getattr(cam, name))) for name in Cam.MAPS))
    numbers = _numbers(cams, row)
    for ax, name in zip(maps, Cam.MAPS, strict=True):
        ax.imshow(dimmed(cam.image), cmap="gray", vmin=0, vmax=1)
        shown = ax.imshow(getattr(cam, name), cmap=COLORMAP, vmin=0, vmax=high, alpha=0.65, gid=f"map-{name}")
        _outline(ax, outline)
        ax.set_xlabel("\n".join(_map_words(numbers, name)), fontsize=6)
    _draw_bar(figure, shown, map_bar, ratio)

    end = _positive(float(np.nanquantile([np.abs(cam.change(name)) for name in CHANGES], _SHOWN)))
    moved = percents([numbers.get(f"moved_{name}", math.nan) for name in CHANGES])
    most = percents([float(np.nanmax(np.abs(cam.change(name)))) / high for name in CHANGES])
    for ax, name, far, large in zip(changes, CHANGES, moved, most, strict=True):
        values = cam.change(name)
        shown = ax.imshow(values, cmap=CHANGE_COLORMAP, vmin=-end, vmax=end, gid=f"change-{name}")
        _outline(ax, outline)
        ax.set_xlabel(f"moved {far}\n≤ {large} of peak", fontsize=6)
    _draw_bar(figure, shown, change_bar, ratio)


def _draw_prediction(ax: Axes, cam: Cam, count: int) -> None:
    ax.imshow(dimmed(cam.image), cmap="gray", vmin=0, vmax=1)
    shown = np.ma.masked_equal(cam.prediction, IGNORE)
    ax.imshow(shown, cmap=class_colormap(count), vmin=0, vmax=max(count - 1, 1), alpha=0.6)
    for index in np.unique(cam.truth[cam.truth < count]):
        _outline(ax, cam.truth == index)


def _draw_bar(figure: Figure, shown: AxesImage, ax: Axes, ratio: float) -> None:
    """Draws the colours of a picture as a bar as tall as it; `ratio` is the picture's height over its width."""
    signed = shown.get_clim()[0] < 0
    opaque = ScalarMappable(shown.norm, shown.cmap)
    bar: Colorbar = figure.colorbar(opaque, cax=ax, extend="both" if signed else "neither")
    ax.set_box_aspect(ratio / _WIDTHS[-1] / (1.1 if signed else 1))  # without the bar's two ends
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


def _map_words(numbers: dict[str, float], name: str) -> list[str]:
    """Returns what is written below a map, a line each."""
    faithful = numbers.get(f"faithfulness_{name}", math.nan)
    words = [f"faithful {faithful:.3f}".replace("-", "−") if math.isfinite(faithful) else "faithful not known"]
    if name in CHANGES:
        changes = {other: numbers.get(f"change_{other}", math.nan) for other in CHANGES}
        sign = "−" if changes[name] < 0 else "+" if changes[name] >= 0 else ""
        words.append(f"mass {sign}{percent(abs(changes[name]), digits_apart(changes.values()))}")
    return words
