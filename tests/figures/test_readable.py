"""Every figure, on white and on dark paper, as a reader of the printed page meets it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from find_colors import contrast
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from psmt_viz import figures
from psmt_viz.figures import style
from psmt_viz.figures.export import DPI
from psmt_viz.figures.style import DOUBLE, SINGLE

from .every import EVERY

SCREEN = 150
"""Dots per inch at which letters, which are fitted to the dots, are wider than in print."""


# The paper moves nothing, so each paper needs one resolution only.
@pytest.fixture(scope="module", params=[(False, SCREEN), (True, DPI)], ids=["white", "dark"])
def paper(request):
    return request.param


@pytest.fixture(scope="module", params=EVERY)
def drawn(request, paper):
    """A figure and the texts on it that are really drawn, which ticks beyond the limits are not."""
    dark, dpi = paper
    texts = []
    with style(dark=dark), pytest.MonkeyPatch.context() as patch:
        original = Text.draw
        patch.setattr(Text, "draw", lambda self, renderer: (texts.append(self), original(self, renderer))[1])
        figure = EVERY[request.param]()
        figure.set_dpi(dpi)
        figure.draw_without_rendering()  # arranges the parts
        texts.clear()
        figure.draw_without_rendering()
    return figure, [text for text in dict.fromkeys(texts) if text.get_visible() and text.get_text().strip()]


def test_every_drawing_function_is_here():
    drawing = {name.removeprefix("draw_") for name in figures.__all__ if name.startswith("draw_")}
    assert drawing == {name.split("-")[0] for name in EVERY}


def test_a_column_or_a_page_wide(drawn):
    figure, _ = drawn
    width = 25.4 * figure.get_size_inches()[0]
    assert min(abs(width - SINGLE), abs(width - DOUBLE)) < 1e-6


def test_no_text_is_cut_or_too_small(drawn):
    figure, texts = drawn
    page = figure.bbox
    for text in texts:
        box = text.get_window_extent()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text
        assert text.get_fontsize() >= 5, text


def room(text: Text) -> Bbox:
    """Returns where no other text may be: half a point more at each end, and less above and below.

    Lines of text hold the room of letters that are not in them.
    """
    box, half = text.get_window_extent(), 0.5 * text.get_figure(root=True).dpi / 72
    return Bbox.from_extents(box.x0 - half, box.y0 + half, box.x1 + half, box.y1 - half)


def test_no_text_lies_on_another(drawn):
    # The box of a slanted text says nothing of where its letters are.
    texts = [text for text in drawn[1] if text.get_rotation() % 90 == 0]
    boxes = [room(text) for text in texts]
    for (one, here), (other, there) in combinations(zip(texts, boxes, strict=True), 2):
        assert not here.overlaps(there), (one, other)


def test_text_stands_out_from_the_paper(drawn):
    figure, texts = drawn
    paper = figure.get_facecolor()
    for text in texts:
        if text.get_gid() not in ("rate", "interval") and not on_a_picture(text):
            assert contrast(text.get_color(), paper) >= 4.5, (text, text.get_color())


def on_a_picture(text: Text) -> bool:
    """Returns whether a text is in the cell of a map, whose colour it is chosen for."""
    ax = text.axes
    return ax is not None and text in ax.texts and bool(ax.images or ax.collections) and not ax.lines


def legends(figure: Figure) -> Iterator[Legend]:
    yield from figure.legends
    for ax in figure.axes:
        if ax.get_legend():
            yield ax.get_legend()


def test_lines_and_marks_stand_out_and_differ_in_more_than_colour(drawn):
    figure, _ = drawn
    paper = figure.get_facecolor()
    for legend in legends(figure):
        lines = [handle for handle in legend.legend_handles if isinstance(handle, Line2D)]
        for line in lines:
            assert contrast(line.get_color(), paper) >= (3 if figure.get_facecolor()[0] < 0.5 else 1.3), line
        looks = [
            (str(line.get_marker()), str(line._dash_pattern), line.get_markersize(), line.get_linewidth(),
             np.allclose(to_rgba(line.get_markerfacecolor()), paper))
            for line in lines
        ]  # fmt: skip
        assert len(set(looks)) == len(looks), [line.get_label() for line in lines]
