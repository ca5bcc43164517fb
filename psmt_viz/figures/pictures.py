"""Parts of figures that show images: clean axes, pale grey, class ids in their colours, shares in blue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from psmt_viz.figures.style import DARK_PAPER, class_colormap, class_colors, is_dark, plain, shade, text_color
from psmt_viz.metrics import IGNORE

# Equal steps of lightness (OKLab), as far as that of the lightest of matplotlib's Blues.
_DARK_BLUES = (DARK_PAPER, "#1B486D", "#2A7EC1", "#7DB8EF", "#DAF2FF")


def clear(ax: Axes) -> None:
    """Takes ticks and frame away."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def hatched() -> dict[str, Any]:
    """Returns how a patch looks where there is nothing to show."""
    return {"facecolor": shade(0.93), "edgecolor": shade(0.7), "hatch": "/////"}


def shares_colormap() -> Colormap:
    """Returns the map of shares: from the paper, for none, to a blue far from it."""
    return LinearSegmentedColormap.from_list("blues-on-dark", _DARK_BLUES) if is_dark() else colormaps["Blues"]


def write_shares(
    ax: Axes, shares: NDArray[np.float64], picture: ScalarMappable, *, fontsize: float, corner: float = 0
) -> None:
    """Writes each share above zero into its cell, in black or white, whichever is the better seen.

    Args:
        ax: The axes of the picture.
        shares: (rows, columns) in %; NaN where there is none.
        picture: What colours the cells.
        fontsize: In pt.
        corner: How far the middle of the first cell is from 0.
    """
    for row, column in np.argwhere(shares > 0).tolist():
        share = shares[row, column]
        ax.text(column + corner, row + corner, _whole(share), ha="center", va="center", fontsize=fontsize,
                 color=text_color(tuple(picture.to_rgba(share))))  # fmt: skip


def _whole(share: float) -> str:
    """Returns a share in whole %; only all of it reads as 100, and nothing above zero as 0."""
    if round(share) == 0:
        return "<1"
    return ">99" if share < 100 and round(share) == 100 else f"{share:.0f}"


def dimmed(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns the grey image, pale, so that only what lies on it has colour."""
    return 0.15 + 0.75 * (image @ np.array([0.299, 0.587, 0.114])) / 255


def draw_classes(ax: Axes, ids: NDArray[np.uint8], count: int) -> None:
    """Draws class ids in the class colours, pixels of no class hatched.

    Args:
        ax: Where.
        ids: (H, W) class ids, 255 where none applies.
        count: Number of classes.
    """
    ax.patch.set(**hatched(), linewidth=0)
    shown = np.ma.masked_equal(ids, IGNORE)
    ax.imshow(shown, cmap=class_colormap(count), vmin=0, vmax=max(count - 1, 1))


def class_handles(present: NDArray[np.uint8], classes: Sequence[str]) -> list[Patch]:
    """Returns the legend's entries for the ids that are present."""
    colors = class_colors(len(classes))
    handles = [Patch(color=colors[i], label=plain(classes[i])) for i in present if i < len(classes)]
    if IGNORE in present:
        handles.append(Patch(**hatched(), linewidth=0, label="no class"))
    return handles
