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
from psmt_viz.figures.style import DOUBLE, style
from psmt_viz.report.inline import data_uri

WIDE = 940
"""CSS pixels in which a figure 174 mm wide is read; its 7 pt are then 13 pixels."""
SCALE = 2.0
"""Pixels of a picture for a CSS pixel, for screens of high density."""
_COLORS = 2**15
"""Colours from which on a picture is of photographs rather than of lines and text, and is stored with small losses."""


@dataclass(frozen=True)
class Picture:
    """A figure that the page shall show."""

    name: str
    """The stem of the figure's files."""
    draw: Callable[[], Figure | Axes]
    """One of the `draw_*` functions, with its result."""
    alt: str
    """What is seen, for those who do not see it."""
    caption: str
    """What it means."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A figure as the page holds it, drawn twice."""

    name: str
    alt: str
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


def stored(picture: Picture, drawn: Figure | None = None) -> Stored:
    """Draws a figure for both papers.

    Args:
        picture: What to draw.
        drawn: The figure on white paper, where it was drawn before.

    Raises:
        UserError: if there is nothing to draw.
    """
    light, dark = rendered(picture.draw, drawn)
    width, height = (round(side / SCALE) for side in light.size)
    addresses = (data_uri("image/webp", _webp(each)) for each in (light, dark))
    return Stored(
        name=picture.name,
        alt=picture.alt,
        caption=picture.caption,
        width=width,
        height=height,
        light=next(addresses),
        dark=next(addresses),
    )


def rendered(draw: Callable[[], Figure | Axes], drawn: Figure | None = None) -> tuple[Image.Image, Image.Image]:
    """Returns a figure on white and on dark paper, with all parts at the same places, those that they have in files.

    Args:
        draw: Draws it.
        drawn: The one on white paper, where it was drawn before.
    """
    with style(dark=False):
        light = figure_of(draw()) if drawn is None else drawn
        arrange(light)
        on_white = render(light)
    with style(dark=True):
        dark = figure_of(draw())
        arrange(dark, light)
        return on_white, render(dark)


def render(figure: Figure) -> Image.Image:
    """Returns an arranged figure as the page stores it, in RGB."""
    figure.set_dpi(SCALE * WIDE / (DOUBLE / 25.4))
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
