"""Fig. 1: what speaks for a class in an image, before and after each perturbation."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psmt_viz.figures.pictures import clear, dimmed
from psmt_viz.figures.style import DOUBLE, class_colormap, new_figure, plain, require, style
from psmt_viz.metrics import IGNORE
from psmt_viz.results import Cam, Cams

TITLES = {"clean": "original", "vat": "+ VAT", "tvat": "+ T-VAT"}
COLORMAP = ListedColormap(colormaps["turbo"](np.linspace(0.04, 0.92, 256)), name="turbo-red")
"""Readers of the paper expect red = high. Turbo has that without jet's false edges; its dark ends are cut."""


def draw_gradcam(cams: Cams) -> Figure:
    """Draws one row an image: input, truth and prediction, and the maps before and after VAT and T-VAT.

    The three maps of a row share one scale from 0 to the row's highest value, so that their reds can be compared.
    Below each perturbed map stands how much the mass of the map (its sum) changed.

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
        figure = new_figure(DOUBLE, sum(29 * ratio + 5 for ratio in ratios) + 4)
        grid = figure.add_gridspec(len(cams.cams), 6, width_ratios=[1, 1, 1, 1, 1, 0.06], height_ratios=ratios)
        for row in range(len(cams.cams)):
            axes = [figure.add_subplot(grid[row, column]) for column in range(6)]
            _draw_row(figure, axes, cams, row)
    return figure


def _draw_row(figure: Figure, axes: list[Axes], cams: Cams, row: int) -> None:
    cam = cams.cams[row]
    count = len(cams.classes)
    wanted = cams.classes.index(cam.class_name) if cam.class_name in cams.classes else None
    titles = ["input", "truth (line), prediction", *TITLES.values()]
    for ax, title in zip(axes, titles, strict=False):
        clear(ax)
        if row == 0:
            ax.set_title(title)
    axes[0].imshow(cam.image)
    axes[0].set_ylabel(f"{plain(cam.image_id)}\n{plain(cam.class_name)}")

    grey = dimmed(cam.image)
    axes[1].imshow(grey, cmap="gray", vmin=0, vmax=1)
    shown = np.ma.masked_equal(cam.prediction, IGNORE)
    axes[1].imshow(shown, cmap=class_colormap(count), vmin=0, vmax=count - 1, alpha=0.6)
    for index in np.unique(cam.truth[cam.truth < count]):
        _outline(axes[1], cam.truth == index)

    high = max(float(np.nanmax(getattr(cam, name))) for name in Cam.MAPS)
    high = high if math.isfinite(high) and high > 0 else 1.0  # a class without any evidence: all maps are blank
    changes = _mass_changes(cams, row)
    for ax, name in zip(axes[2:5], Cam.MAPS, strict=True):
        ax.imshow(grey, cmap="gray", vmin=0, vmax=1)
        picture = ax.imshow(getattr(cam, name), cmap=COLORMAP, vmin=0, vmax=high, alpha=0.65, gid=f"map-{name}")
        if wanted is not None:
            _outline(ax, cam.truth == wanted)
        ax.set_xlabel(changes[name], fontsize=6)
    bar = figure.colorbar(picture, cax=axes[5])
    bar.ax.set_ylim(0, high)
    bar.ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    bar.ax.yaxis.get_offset_text().set_fontsize(5)
    bar.ax.tick_params(labelsize=5)
    bar.ax.locator_params(axis="y", nbins=4)
    bar.outline.set_visible(False)


def _outline(ax: Axes, mask: NDArray[np.bool_]) -> None:
    # Black under white is seen on any colour.
    if mask.any() and not mask.all():
        ax.contour(mask, levels=[0.5], colors="black", linewidths=1.1)
        ax.contour(mask, levels=[0.5], colors="white", linewidths=0.6)


def _mass_changes(cams: Cams, row: int) -> dict[str, str]:
    """Returns what is written below each map; the change comes from the saved table, not from the pictures."""
    table, cam = cams.table, cams.cams[row]
    known = len(table) == len(cams.cams) and (*table[["image", "class"]].iloc[row],) == (cam.image_id, cam.class_name)
    texts = {"clean": ""}
    for name in ("vat", "tvat"):
        before, after = (float(table[f"mass_{part}"].iloc[row]) if known else math.nan for part in ("clean", name))
        change = 100 * (after / before - 1) if before > 0 else math.nan
        texts[name] = (
            f"mass {round(change, 1) + 0.0:+.1f} %".replace("-", "−")
            if math.isfinite(change)
            else "mass change not known"
        )
    return texts
