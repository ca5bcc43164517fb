"""Images of a data set beside their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psmt_viz.figures.pictures import class_handles, clear, draw_classes
from psmt_viz.figures.style import DOUBLE, new_figure, plain, require, style

_PAIRS = 3
"""Images with their labels in a row."""


def draw_sheet(pairs: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]], classes: Sequence[str]) -> Figure:
    """Draws images beside their labels, with the classes in their colours and pixels of none hatched.

    Args:
        pairs: Name -> image (h, w, 3) and class ids (h, w), 255 where none applies.
        classes: Class names in the order of their ids.

    Returns:
        A figure 174 mm wide.

    Raises:
        UserError: if there is no image.
    """
    require(len(pairs) > 0, "images to draw", "none", "give at least one")
    rows = -(-len(pairs) // _PAIRS)
    tallest = max(label.shape[0] / label.shape[1] for _, label in pairs.values())
    cell = DOUBLE / (2 * _PAIRS) * min(tallest, 1.5)
    present = np.unique(np.concatenate([np.unique(label) for _, label in pairs.values()]))
    with style():
        figure = new_figure(DOUBLE, rows * (cell + 4) + 4 * (-(-present.size // 7) + 1))
        axes = figure.subplots(rows, 2 * _PAIRS, squeeze=False)
        for ax in axes.flat:
            clear(ax)
            ax.patch.set_visible(False)
        for (image, label), name, (left, right) in zip(pairs.values(), pairs, axes.reshape(-1, 2), strict=False):
            left.imshow(image)
            left.set_title(plain(name if len(name) <= 24 else f"...{name[-22:]}"), fontsize=5, loc="left")
            right.patch.set_visible(True)
            draw_classes(right, label, len(classes))
        handles = class_handles(present, classes)
        figure.legend(handles=handles, loc="outside lower center", ncols=7, columnspacing=1.2, handlelength=1.2)
    return figure
