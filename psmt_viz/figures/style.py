"""One look for every figure: sizes, colours, markers and the settings that make files reproducible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from psmt_viz.errors import UserError
from psmt_viz.kinds import KINDS
from psmt_viz.roles import known_roles, role_of

SINGLE = 84.0
"""Width of one column of a paper, in mm."""
DOUBLE = 174.0
"""Width of a whole page of text, in mm."""

DARK_PAPER = "#14171B"
DARK_INK = "#F2F4F7"

# Colours as they are on white paper. Figures take them from the functions below, which know the paper.
FLIP_COLOR = "#E4002B"
"""The red of a prediction that is now wrong; no class has a colour near it. On images it is the same on each paper."""

# Okabe and Ito's colours without the red ones, continued greedily: each next colour is the one farthest (OKLab) from
# all before it, for normal sight as well as for protanopia and deuteranopia, reds and pinks left out. The grey of
# class 0, in most data sets the background beside which every other class lies, counts as 1.7 times as near. With
# 21 colours some are close (0.077); markers and names tell those apart.
_CLASS_COLORS = (
    "#4D4D4D", "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#F0E442", "#96F0F0",
    "#0000FF", "#5A87FF", "#0FD2A5", "#2D00B4", "#B47800", "#0096B4", "#69FFA5",
    "#87D2FF", "#1EB4A5", "#0F69F0", "#5A0F78", "#2D4BC3", "#696900", "#C3D269",
)  # fmt: skip
LINE_COLORS = ("#009E73", "#8E44AD", "#E69F00", "#56B4E9", "#4D4D4D", "#0FD2A5", "#5A0F78", "#878700")
"""Colours of lines that are neither a role nor a class: dark enough for white paper."""

# On dark paper: what would have less contrast than graphics need (3:1, WCAG) is lighter, its hue about the same, and
# some blues make room. Colours that text has too, of roles and the red, reach 4.5:1. Found by annealing: at least 0.096
# apart (OKLab, every sight) are kinds, of which roles are some, and lines; 0.06 classes; 0.1 class 0 and the others.
_ON_DARK: Mapping[str, str] = MappingProxyType(
    {
        **{role.color: role.dark for role in known_roles() if role.color and role.dark},
        **{kind.color: kind.dark for kind in KINDS.values() if kind.dark},
        **{FLIP_COLOR: "#FF4D66", "#4D4D4D": "#676767", "#5A0F78": "#7E39FC"},  # of lines and classes
        **{"#0000FF": "#4D6DAD", "#2D00B4": "#49A3FF", "#2D4BC3": "#636FD6"},  # of classes
        **{"#5A87FF": "#5257CD", "#0F69F0": "#5B81FE", "#696900": "#9AC069"},
    }
)

# Filled shapes only, so that a colour shows; never a star, which means a flipped pixel.
_CLASS_MARKERS = ("o", "s", "^", "D", "v", "P", "h", "<", "X", ">", "p")

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so a figure looks the same on every computer
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "legend.title_fontsize": 6,
    "figure.titlesize": 7,
    "figure.facecolor": "white",
    "savefig.bbox": None,  # a tight box would change the width that a paper asks for
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "0.88",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.4,
    "legend.frameon": False,
    "image.interpolation": "nearest",
    "pdf.fonttype": 42,  # TrueType: text stays text, and publishers refuse Type 3
    # Outlines, because an SVG cannot carry a font: with 'none' the reader's fonts would decide what text looks like.
    "svg.fonttype": "path",
    "svg.hashsalt": "psmt-viz",  # ids would otherwise be random, and equal figures unequal files
}
_DARK: dict[str, Any] = {
    "figure.facecolor": DARK_PAPER,
    "axes.facecolor": DARK_PAPER,
    "grid.color": "#2B3036",
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), "#D8DCE2"),
}
_KEPT = frozenset(key for key in mpl.rcParamsDefault if key.startswith(("backend", "webagg", "tk.", "toolbar", "date")))


@contextmanager
def style(*, dark: bool | None = None) -> Iterator[None]:
    """Applies the look inside a `with` block and restores every matplotlib setting after it.

    Figures take their sizes and colours when they are made and their fonts when they are saved, so both belong into
    the block; `export` sees to the second itself.

    Args:
        dark: Whether to draw on dark paper, for a page. Default: as the block around this one, else on white.
    """
    # From matplotlib's own defaults, so that a user's matplotlibrc cannot change a figure half.
    settings: Any = {key: value for key, value in mpl.rcParamsDefault.items() if key not in _KEPT} | _SETTINGS
    if is_dark() if dark is None else dark:
        settings |= _DARK
    with mpl.rc_context(settings):
        yield


def is_dark() -> bool:
    """Returns whether the surrounding `style` draws on dark paper."""
    return bool(mpl.rcParams["figure.facecolor"] == DARK_PAPER)


def shade(level: float) -> str:
    """Returns a grey as far from the paper as `level`, from 0 (black ink) to 1 (paper), is from white.

    Args:
        level: As matplotlib's grey levels on white paper; on dark paper the same distance from it.
    """
    if not is_dark():
        return str(level)
    paper, ink = (np.array(to_rgb(color)) for color in (DARK_PAPER, DARK_INK))
    return to_hex(ink + level * (paper - ink))


def on_paper(color: str) -> str:
    """Returns a colour of this project for the current paper: on dark paper, dark ones are lighter."""
    return _ON_DARK.get(color, color) if is_dark() else color


def flip_color() -> str:
    """Returns the red of a prediction that is now wrong, and of warnings, for the current paper."""
    return on_paper(FLIP_COLOR)


def role_color(role: str) -> str:
    """Returns the colour of a role for the current paper; of an unknown one, grey."""
    color = role_of(role).color
    return on_paper(color) if color else shade(0.3)


def role_line(role: str) -> str | tuple[float, tuple[float, ...]]:
    """Returns the line style of a role."""
    dashes = role_of(role).dashes
    return (0, dashes) if dashes else "-"


def line_colors() -> tuple[str, ...]:
    """Returns the colours of lines that are neither a role nor a class, for the current paper."""
    return tuple(on_paper(color) for color in LINE_COLORS)


def class_colors(count: int) -> tuple[str, ...]:
    """Returns the colours of the classes 0 ... count - 1, the same in every figure on the current paper.

    Args:
        count: Number of classes. From the 22nd on colours come again.
    """
    return tuple(on_paper(_CLASS_COLORS[index % len(_CLASS_COLORS)]) for index in range(count))


def class_markers(count: int) -> tuple[str, ...]:
    """Returns the markers of the classes 0 ... count - 1, which differ wherever colours might be taken for another.

    Args:
        count: Number of classes. From the 12th on shapes come again, with other colours.
    """
    return tuple(_CLASS_MARKERS[index % len(_CLASS_MARKERS)] for index in range(count))


def class_colormap(count: int) -> ListedColormap:
    """Returns the class colours as a map for `imshow(ids, vmin=0, vmax=count - 1)`; masked ids are left clear."""
    return ListedColormap(class_colors(count))


def plain(text: object) -> str:
    """Returns text from data as matplotlib must be given it: a dollar sign would start a formula."""
    return str(text).replace("\\$", "$").replace("$", r"\$")


def text_color(background: tuple[float, ...]) -> str:
    """Returns black or white, whichever has the higher contrast (WCAG) to an RGB or RGBA colour."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in background[:3]]
    return "black" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 else "white"


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in mm that arranges its own parts; no window and no backend are touched."""
    return Figure(figsize=(width / 25.4, height / 25.4), layout="constrained")


def keep_margin(figure: Figure) -> None:
    """Keeps 2 mm free around a figure whose long labels reach its edge: in print they are wider than on screen."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(w_pad=2 / 25.4)


@contextmanager
def drawing_on(ax: Axes | None, *, width: float = SINGLE, height: float = 60.0) -> Iterator[Axes]:
    """Yields the axes to draw on: the caller's, as they are, or new ones in this project's style.

    Args:
        ax: Axes of the caller, whose own settings then hold, or None.
        width: Width of a new figure in mm.
        height: Height of a new figure in mm.
    """
    with nullcontext() if ax is not None else style():
        yield new_figure(width, height).add_subplot() if ax is None else ax


def require(present: bool, expected: str, got: str, fix: str) -> None:
    """Raises the user's error when a result has nothing to draw.

    Raises:
        UserError: if `present` is false.
    """
    if not present:
        raise UserError(expected, got, fix)
