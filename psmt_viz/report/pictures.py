"""Figures as pictures inside the page, one on white and one on dark paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from psmt_viz.figures.export import arrange, figure_of
from psmt_viz.figures.style import DOUBLE
from psmt_viz.report.inline import data_uri
from psmt_viz.report.themes import both

WIDE = 940
"""CSS pixels in which a figure 174 mm wide is read; its 7 pt are then 13 pixels."""
SCALE = 2.0
"""Pixels of a picture for a CSS pixel, for screens of high density."""
_COLORS = 2**15
"""Colours from which on a picture is of photographs rather than of lines and text, and is stored with small losses."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, drawn twice."""

    name: str
    """The stem of the figure's files."""
    alt: str
    """What is seen, for those who do not see it."""
    caption: str
    width: int
    """In CSS pixels."""
    height: int
    light: str
    """The picture itself, as a data address."""
    dark: str

    @property
    def wide(self) -> bool:
        """Whether the figure takes a whole page's width in print; on a small screen it is then scrolled."""
        return self.width > WIDE / 2


def picture(name: str, draw: Callable[[], Figure | Axes], *, alt: str, caption: str) -> Picture:
    """Draws a figure for both papers.

    Args:
        name: The stem of the figure's files.
        draw: One of the `draw_*` functions, with its result.
        alt: What is seen.
        caption: What it means.

    Raises:
        UserError: if there is nothing to draw.
    """
    light, dark = rendered(draw)
    width, height = (round(side / SCALE) for side in light.size)
    stored = [data_uri("image/webp", _webp(each)) for each in (light, dark)]
    return Picture(name=name, alt=alt, caption=caption, width=width, height=height, light=stored[0], dark=stored[1])


def rendered(draw: Callable[[], Figure | Axes]) -> tuple[Image.Image, Image.Image]:
    """Returns a figure on white and on dark paper, with all parts at the same places."""
    first: Figure | None = None

    def make() -> Image.Image:
        nonlocal first
        figure = figure_of(draw())
        figure.set_dpi(SCALE * WIDE / (DOUBLE / 25.4))
        arrange(figure, first)
        first = first or figure
        return render(figure)

    return both(make)


def render(figure: Figure) -> Image.Image:
    """Returns a figure as the page stores it, in RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _webp(image: Image.Image) -> bytes:
    buffer = BytesIO()
    if image.getcolors(_COLORS) is None:
        image.save(buffer, "WEBP", quality=90)
    else:
        # Twice the effort saves a seventh of the bytes.
        image.save(buffer, "WEBP", lossless=True, quality=0, method=1)
    return buffer.getvalue()
