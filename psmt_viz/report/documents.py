"""Bokeh documents as JSON that is equal whenever the plots are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bokeh.document import Document
from bokeh.model import Model
from bokeh.models import Grid, PanTool, Plot, Range1d, WheelZoomTool

from psmt_viz.report.themes import greys


class Paint(NamedTuple):
    """A colour of a plot's part that follows the page's theme."""

    model: Model
    attribute: str
    light: Any
    dark: Any


def document_json(plots: Mapping[str, Plot], paints: Sequence[Paint]) -> dict[str, Any]:
    """Returns what the page needs to draw plots.

    Args:
        plots: Id of the page's element -> plot; plots that share ranges or data move together.
        paints: Colours that follow the theme; those of axes and grids are added.

    Returns:
        doc: The document. targets: Ids of elements, in the order of the plots. paints: id of a part, attribute, its
        value on white and on dark paper.
    """
    document = Document()
    for plot in plots.values():
        document.add_root(plot)
    ids: dict[str, str] = {}
    return {
        "doc": _numbered(document.to_json(deferred=False), ids),
        "targets": list(plots),
        "paints": [[ids[model.id], *rest] for model, *rest in [*paints, *_own(plots)]],
    }


def new_plot(x_range: Range1d, y_range: Range1d, **settings: Any) -> Plot:
    """Returns an empty plot that fills its element; dragging pans, the wheel zooms, and the page has the buttons."""
    zoom = WheelZoomTool()
    plot = Plot(
        x_range=x_range,
        y_range=y_range,
        sizing_mode="stretch_both",
        toolbar_location=None,
        title=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        **settings,
    )
    plot.add_tools(PanTool(), zoom)
    plot.toolbar.active_scroll = zoom
    return plot


def _own(plots: Mapping[str, Plot]) -> list[Paint]:
    strong, weak, text = map(greys, (0.45, 0.88, 0.3))
    paints = []
    for plot in plots.values():
        for axis in (*plot.below, *plot.left):
            paints += [Paint(axis, f"{part}_line_color", *strong) for part in ("axis", "major_tick")]
            paints += [Paint(axis, f"{part}_label_text_color", *text) for part in ("axis", "major")]
        paints += [Paint(grid, "grid_line_color", *weak) for grid in plot.center if isinstance(grid, Grid)]
    return paints


def _numbered(value: Any, ids: dict[str, str]) -> Any:
    """Numbers models in the order in which they appear; bokeh's own numbers count every model of the process."""
    if isinstance(value, Mapping):
        return {
            key: ids.setdefault(part, f"m{len(ids)}") if key == "id" else _numbered(part, ids)
            for key, part in value.items()
        }
    return [_numbered(part, ids) for part in value] if isinstance(value, list | tuple) else value
