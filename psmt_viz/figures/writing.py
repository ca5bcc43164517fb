"""From results to files: each is drawn by the module of its name, from itself alone, and says what made it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from psmt_viz import __version__
from psmt_viz.figures.export import export, figure_of
from psmt_viz.files import write_text
from psmt_viz.results import Result, Saved

Drawn = Axes | Figure | str
"""A figure, or the text of a table."""


def write(result: Result, out: Path) -> list[Path]:
    """Draws a result: what `figures` of the module of its name returns, once all of it is drawn.

    A figure becomes four files (see `export`), a text the file of its name. A damaged result leaves nothing behind.

    Args:
        result: The result.
        out: An existing folder.

    Returns:
        The paths written.

    Raises:
        UserError: if the result is damaged or has nothing to draw.
    """
    drawn: Mapping[str, Drawn] = import_module(f"psmt_viz.figures.{result.NAME}").figures(result)
    paths = []
    for name, artist in drawn.items():
        if isinstance(artist, str):
            write_text(out / name, artist)
            paths.append(out / name)
        else:
            provenance = {"figure": name, **result.provenance(), "psmt-viz": __version__}
            paths += export(figure_of(artist), out / name, provenance=provenance)
    return paths


def write_all(saved: Saved, out: Path) -> dict[str, list[Path]]:
    """Draws everything that a folder of results holds.

    Args:
        saved: The results.
        out: An existing folder.

    Returns:
        Name of the result -> paths written.
    """
    return {name: write(result, out) for name, result in saved.results.items()}
