"""Colours and pictures for white and for dark paper, as the figures have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from matplotlib.colors import to_hex

from psmt_viz.figures.style import shade, style

Made = TypeVar("Made")


def both(make: Callable[[], Made]) -> tuple[Made, Made]:
    """Returns what a function gives on white paper and on dark paper.

    Args:
        make: Draws something or chooses a colour by the functions of `figures.style`.
    """
    with style(dark=False):
        light = make()
    with style(dark=True):
        return light, make()


def greys(level: float) -> tuple[str, str]:
    """Returns `figures.style.shade` for both papers, as CSS and bokeh write colours."""
    light, dark = both(lambda: to_hex(shade(level)))
    return light, dark
