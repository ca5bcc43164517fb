"""Parts of figures that show images: clean axes, pale grey, class ids in their colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray

from psmt_viz.figures.style import class_colormap, class_colors, plain
from psmt_viz.metrics import IGNORE

_NONE: dict[str, Any] = {"facecolor": "0.93", "edgecolor": "0.7", "hatch": "/////"}


def clear(ax: Axes) -> None:
    """Takes ticks and frame away."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


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
    ax.patch.set(**_NONE)
    ax.patch.set_linewidth(0)
    shown = np.ma.masked_equal(ids, IGNORE)
    ax.imshow(shown, cmap=class_colormap(count), vmin=0, vmax=max(count - 1, 1))


def class_handles(present: NDArray[np.uint8], classes: Sequence[str]) -> list[Patch]:
    """Returns the legend's entries for the ids that are present."""
    colors = class_colors(len(classes))
    handles = [Patch(color=colors[i], label=plain(classes[i])) for i in present if i < len(classes)]
    if IGNORE in present:
        handles.append(Patch(**_NONE, linewidth=0, label="no class"))
    return handles
