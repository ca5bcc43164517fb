"""Finds a colour for a new kind of perturbation: the one that lies farthest from all others.

    .venv/bin/python analysis/find_colors.py           # a free colour for white and for dark paper
    .venv/bin/python analysis/find_colors.py --today   # today's colours beside the best that could be found for each

Seconds on a CPU. How far two colours lie apart is their distance in OKLab, the least over normal sight, protanopia and
deuteranopia. Of all colours that are neither red, as flipped pixels are, nor nearly black, the one is taken that lies
farthest from the other kinds and from the paper. On dark paper it keeps about its hue. Figures ask for 0.1 (0.096 on
dark paper); `tests/figures/test_style.py` holds the table to that.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import NDArray

from psmt_viz.figures.style import DARK_PAPER, FLIP_COLOR, on_paper, style
from psmt_viz.kinds import KINDS

Lab = NDArray[np.float64]

# Ottosson's OKLab, and the dichromats of Machado et al. (2009) at full severity.
_LMS = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]])
_LAB = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
SIGHT = {
    "normal": np.eye(3),
    "deuteranopia": np.array([[0.36732, 0.86065, -0.22797], [0.28009, 0.67250, 0.04741], [-0.01182, 0.04294, 0.96888]]),
    "protanopia": np.array([[0.15229, 1.05258, -0.20487], [0.11450, 0.78628, 0.09922], [-0.00388, -0.04812, 1.05200]]),
}
STEP = 15
"""Between two values of red, green or blue that are tried."""
_LEAST_CONTRAST = {"white": 1.6, DARK_PAPER: 3.0}
"""Of lines and markers to the paper."""
_RED = np.radians(50)
"""Colours whose hue is nearer than this to that of flipped pixels look red."""
_DARKEST = 0.3
"""Least lightness: OKLab tells colours apart that are nearly black, printed lines do not."""
_TURN = np.radians(28)
"""How far the hue of a colour may turn from white to dark paper."""


class Found(NamedTuple):
    """A colour and how far it lies from the nearest other one."""

    color: str
    distance: float


def linear(colors: Any) -> NDArray[np.float64]:
    """Returns colours as linear RGB, (N, 3) in [0, 1]."""
    rgb = np.array([to_rgb(color) for color in colors])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: Any, other: Any) -> float:
    """Returns the contrast of two colours (WCAG 2), from 1 to 21."""
    light, dark = sorted(linear([one, other]) @ [0.2126, 0.7152, 0.0722], reverse=True)
    return float((light + 0.05) / (dark + 0.05))


def seen(colors: Iterable[Any], sight: str) -> Lab:
    """Returns colours in OKLab, (N, 3), as seen with one kind of sight."""
    return np.cbrt(np.clip(linear(colors) @ SIGHT[sight].T, 0, 1) @ _LMS.T) @ _LAB.T


def nearest(lab: Lab) -> float:
    """Returns the smallest distance of two colours."""
    return float(min(np.linalg.norm(one - other) for one, other in combinations(lab, 2)))


def distances(colors: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
    """Returns (N,) how far each colour lies from the nearest of the others, with the sight to which it is nearest."""
    least = np.full(len(colors), np.inf)
    for sight in SIGHT:
        own = seen(colors, sight)
        for other in seen(others, sight):
            least = np.minimum(least, np.linalg.norm(own - other, axis=1))
    return least


def farthest(others: Sequence[str], *, paper: str, like: str | None = None) -> Found:
    """Returns the colour that lies farthest from others and from the paper.

    Args:
        others: Colours that are taken.
        paper: `white`, or the dark paper.
        like: A colour whose hue it shall keep about.
    """
    values = np.arange(0, 256, STEP) / 255
    grid = [to_hex(color).upper() for color in product(values.tolist(), repeat=3)]
    lab = seen(grid, "normal")
    allowed = (np.abs(_turn(lab, FLIP_COLOR)) > _RED) | (np.hypot(*lab[:, 1:].T) < 0.04)  # greys have no hue
    allowed &= lab[:, 0] >= _DARKEST
    if like is not None:
        allowed &= np.abs(_turn(lab, like)) < _TURN
    light, dark = (linear(colors) @ [0.2126, 0.7152, 0.0722] + 0.05 for colors in (grid, [paper]))
    allowed &= np.maximum(light / dark, dark / light) >= _LEAST_CONTRAST[paper]
    kept = [color for color, good in zip(grid, allowed, strict=True) if good]
    apart = distances(kept, [*others, paper])
    best = int(apart.argmax())
    return Found(kept[best], float(apart[best]))


def _turn(lab: Lab, color: str) -> NDArray[np.float64]:
    """Returns (N,) by which angle hues differ from that of a colour."""
    ((_, a, b),) = seen([color], "normal")
    angle = np.arctan2(lab[:, 2], lab[:, 1]) - np.arctan2(b, a)
    return np.angle(np.exp(1j * angle))


def taken(*, without: str = "") -> tuple[list[str], list[str]]:
    """Returns the colours of all kinds but one, on white and on dark paper."""
    colors = [kind.color for name, kind in KINDS.items() if name != without]
    with style(dark=True):
        return colors, [*map(on_paper, colors)]


def main() -> None:
    """Prints a free colour, or today's beside the best ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--today", action="store_true", help="today's colours beside the best for each kind")
    if not parser.parse_args().today:
        white, dark = taken()
        free = farthest(white, paper="white")
        print(f"white paper: {free.color}, {free.distance:.3f} from the nearest other")
        lighter = farthest(dark, paper=DARK_PAPER, like=free.color)
        print(f"dark paper:  {lighter.color}, {lighter.distance:.3f}")
        return
    print("kind            today    distance  best     distance")
    for name, kind in KINDS.items():
        white, _ = taken(without=name)
        (own,), best = distances([kind.color], [*white, "white"]), farthest(white, paper="white")
        print(f"{name:15} {kind.color}  {own:.3f}     {best.color}  {best.distance:.3f}")


if __name__ == "__main__":
    main()
