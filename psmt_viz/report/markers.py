"""Matplotlib's markers of the classes, as bokeh and as SVG draw them."""

from __future__ import annotations

import math
from typing import NamedTuple


class Shape(NamedTuple):
    """One marker."""

    bokeh: str
    """Bokeh's name of the shape."""
    angle: float
    """By which bokeh must turn it, in radians."""
    path: str
    """An SVG path between -1 and 1."""


_PLUS = "M-.3-.9h.6v.6h.6v.6h-.6v.6h-.6v-.6h-.6v-.6h.6z"
_CROSS = "M-.42-.85L0-.42 .42-.85 .85-.42 .42 0 .85 .42 .42 .85 0 .42-.42 .85-.85 .42-.42 0-.85-.42z"

SHAPES: dict[str, Shape] = {
    "o": Shape("circle", 0, "M-.8 0a.8 .8 0 1 0 1.6 0a.8 .8 0 1 0-1.6 0z"),
    "s": Shape("square", 0, "M-.75-.75h1.5v1.5h-1.5z"),
    "^": Shape("triangle", 0, "M0-.85L.9 .7H-.9z"),
    "D": Shape("diamond", 0, "M0-.95L.65 0 0 .95-.65 0z"),
    "v": Shape("inverted_triangle", 0, "M0 .85L.9-.7H-.9z"),
    "P": Shape("plus", 0, _PLUS),
    "h": Shape("hex", 0, "M0-.9L.78-.45V.45L0 .9-.78 .45V-.45z"),
    "<": Shape("triangle", math.pi / 2, "M-.85 0L.7-.9V.9z"),
    "X": Shape("plus", math.pi / 4, _CROSS),
    ">": Shape("triangle", -math.pi / 2, "M.85 0L-.7-.9V.9z"),
    # Bokeh has no pentagon; its pointed square is as far from the other shapes.
    "p": Shape("square_pin", 0, "M-.85-.85Q0-.4 .85-.85Q.4 0 .85 .85Q0 .4-.85 .85Q-.4 0-.85-.85z"),
}  # fmt: skip
STAR = "M0-1L.22-.31 .95-.31 .36 .12 .59 .81 0 .38-.59 .81-.36 .12-.95-.31-.22-.31z"
"""The SVG path of a flipped pixel."""
