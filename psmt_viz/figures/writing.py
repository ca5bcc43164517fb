"""From results to files: each is drawn by the module of its name, from itself alone, and says what made it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psmt_viz import __version__
from psmt_viz.figures.export import export, figure_of
from psmt_viz.files import write_text
from psmt_viz.results import Result, Saved

Drawn = Axes | Figure | str
"""A figure, or the text of a table."""


class Written(NamedTuple):
    """What was made of a result."""

    paths: list[Path]
    figures: dict[str, Figure]
    """By the stem of their files."""


def write(result: Result, out: Path) -> Written:
    """Draws a result: what `figures` of the module of its name returns, once all of it is drawn.

    A figure becomes four files (see `export`), a text the file of its name. A damaged result leaves nothing behind.

    Args:
        result: The result.
        out: An existing folder.

    Returns:
        The paths written, and the figures, arranged.

    Raises:
        UserError: if the result is damaged or has nothing to draw.
    """
    drawn: Mapping[str, Drawn] = import_module(f"psmt_viz.figures.{result.NAME}").figures(result)
    paths, figures = [], {}
    for name, artist in drawn.items():
        if isinstance(artist, str):
            write_text(out / name, artist)
            paths.append(out / name)
        else:
            provenance = {"figure": name, **result.provenance(), "psmt-viz": __version__}
            figures[name] = figure_of(artist)
            paths += export(figures[name], out / name, provenance=provenance)
    return Written(paths, figures)


def write_all(saved: Saved, out: Path) -> dict[str, Written]:
    """Draws everything that a folder of results holds.

    Args:
        saved: The results.
        out: An existing folder.

    Returns:
        Name of the result -> what was made of it.
    """
    return {name: write(result, out) for name, result in saved.results.items()}
