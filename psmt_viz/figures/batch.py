"""What the networks saw in one step: images, views, labels and pseudo-labels."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from psmt_viz.figures.pictures import class_handles, clear, draw_classes
from psmt_viz.figures.style import DOUBLE, new_figure, plain, require, style
from psmt_viz.results import TrainingBatch

MOST = 8
"""Images of a batch that are drawn."""


def draw_batch(batch: TrainingBatch) -> Figure:
    """Draws one row per image and one column per view, with the classes in their colours and pixels of none hatched.

    Args:
        batch: The step; at most its first 8 images are drawn.

    Returns:
        A figure 174 mm wide.

    Raises:
        UserError: if the batch has no columns.
    """
    require(len(batch.columns) > 0, "a batch with images", "none", "give at least one column")
    first = next(iter(batch.columns.values()))
    rows = min(len(first), MOST)
    confidence = batch.confidence
    count = len(batch.columns) + (confidence is not None)
    legend_lines = -(-_present(batch).size // 7) + 1
    side = DOUBLE / max(count, 4)  # a lone column would otherwise fill the page
    with style():
        figure = new_figure(DOUBLE, rows * side * first.shape[1] / first.shape[2] + 5 + 4 * legend_lines)
        axes = figure.subplots(rows, count, squeeze=False)
        for column, (title, values) in enumerate(batch.columns.items()):
            axes[0, column].set_title(plain(title))
            for row in range(rows):
                _draw_cell(axes[row, column], values[row], len(batch.classes))
        if confidence is not None:
            axes[0, -1].set_title("confidence")
            for row in range(rows):
                clear(axes[row, -1])
                picture = axes[row, -1].imshow(confidence[row], cmap="gray", vmin=0, vmax=1)
            bar = figure.colorbar(picture, ax=axes[:, -1], location="bottom", aspect=14, pad=0.02)
            bar.set_ticks([0, 0.5, 1], labels=["0", "0.5", "1"])
            bar.outline.set_visible(False)
        if handles := class_handles(_present(batch), batch.classes):
            figure.legend(handles=handles, loc="outside lower center", ncols=7, columnspacing=1.2, handlelength=1.2)
    return figure


def _draw_cell(ax: Axes, values: NDArray[np.uint8], classes: int) -> None:
    clear(ax)
    if values.ndim == 3:
        ax.imshow(values)
        return
    draw_classes(ax, values, classes)


def _present(batch: TrainingBatch) -> NDArray[np.uint8]:
    maps = [np.unique(values[:MOST]) for values in batch.columns.values() if values.ndim == 3]
    return np.unique(np.concatenate(maps)) if maps else np.empty(0, np.uint8)
