"""The section of training: interactive charts, and the numbers of each epoch as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    AdaptiveTicker,
    BasicTickFormatter,
    ColumnDataSource,
    Grid,
    Line,
    LinearAxis,
    NumeralTickFormatter,
    Plot,
    Range1d,
    Scatter,
    Span,
    VArea,
)

from psmt_viz.report.charts import Chart, Series, make_charts
from psmt_viz.report.documents import Paint, document_json, new_plot
from psmt_viz.report.inline import json_text
from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, frame_table
from psmt_viz.report.themes import greys
from psmt_viz.results import Curves, Saved

_LABELS = {"epoch": "epoch", "iteration": "iteration after warm-up"}


def curves_section(saved: Saved) -> Section | None:
    """Returns the charts of training."""
    if saved.training is None or not (charts := make_charts(saved.training)):
        return None
    facts = {
        "charts": charts,
        "by_images": all(series.images_per_epoch > 0 for chart in charts if chart.over == "epoch" for series in chart.series),
        "plots_json": json_text(_plots_json(charts)),
        "facts_json": json_text([_chart_facts(chart) for chart in charts]),
    }
    return Section(
        id="curves",
        title="Training curves",
        paragraphs=(_words(saved.training.runs),),
        tables=tuple(_epochs_table(number, run, saved.training.runs) for number, run in enumerate(saved.training.runs)),
        part="curves.html",
        facts=facts,
        scripts=("curves.js",),
    )


def _words(runs: Sequence[Curves]) -> str:
    several = len({run.name for run in runs}) < len(runs)
    band = " Of several seeds the line is the mean and the band reaches from the lowest to the highest." if several else ""
    return f"Measured after each epoch.{band} Beside each name stands its value where the pointer is, else the last one."


def _plots_json(charts: Sequence[Chart]) -> dict[str, Any]:
    """Returns a plot a chart for the elements `chart-<id>`; those over epochs share their horizontal range."""
    epochs = _x_range([chart for chart in charts if chart.over == "epoch"])
    plots, paints = {}, []
    for chart in charts:
        x_range = epochs if chart.over == "epoch" else _x_range([chart])
        plot = new_plot(x_range, _y_range(chart), name=chart.id, min_border_right=12, min_border_top=8)
        _add_axes(plot, chart.over)
        for number, series in enumerate(chart.series):
            paints += _add_series(plot, series, f"{chart.id}-{number}", chart.over)
        mark = Span(dimension="height", location=None, line_width=1, name=f"{chart.id}-mark", level="overlay")
        plot.add_layout(mark)
        paints.append(Paint(mark, "line_color", *greys(0.45)))
        plots[f"chart-{chart.id}"] = plot
    return document_json(plots, paints)


def _add_axes(plot: Plot, over: str) -> None:
    looks: dict[str, Any] = {
        "minor_tick_line_color": None,
        "major_label_text_font_size": "12px",
        "axis_label_text_font_size": "12px",
        "axis_label_text_font_style": "normal",
    }
    whole = AdaptiveTicker(min_interval=1, mantissas=[1, 2, 5])
    below = LinearAxis(axis_label=_LABELS[over], ticker=whole, formatter=NumeralTickFormatter(format="0,0"), **looks)
    left = LinearAxis(formatter=BasicTickFormatter(power_limit_low=-5), **looks)
    plot.add_layout(below, "below")
    plot.add_layout(left, "left")
    plot.add_layout(Grid(dimension=1, ticker=left.ticker))


def _add_series(plot: Plot, series: Series, name: str, over: str) -> list[Paint]:
    table = series.table
    columns = {over: table.index.to_numpy(np.float64), "mean": table["mean"].to_numpy(np.float64)}
    columns |= {end: table[end].to_numpy(np.float64) for end in ("min", "max")}
    if series.images_per_epoch > 0:
        columns["images"] = columns["epoch"] * series.images_per_epoch
    source = ColumnDataSource(columns, name=name)
    paints = []
    if series.band:
        band = VArea(x=over, y1="min", y2="max", fill_alpha=0.22)
        plot.add_glyph(source, band)
        paints.append(Paint(band, "fill_color", series.light, series.dark))
    line = Line(x=over, y="mean", line_width=series.width, line_dash=list(series.dash))
    # A line of one point would not be seen.
    dot = Scatter(x=over, y="mean", marker="circle", size=6 if len(table) == 1 else 0, line_color=None)
    for glyph, attribute in ((line, "line_color"), (dot, "fill_color")):
        plot.add_glyph(source, glyph)
        paints.append(Paint(glyph, attribute, series.light, series.dark))
    return paints


def _x_range(charts: Sequence[Chart]) -> Range1d:
    ends = [float(end) for chart in charts for series in chart.series for end in (series.table.index.min(), series.table.index.max())]
    low, high = min(ends, default=0), max(ends, default=1)
    return Range1d(low, high) if high > low else Range1d(low - 1, high + 1)


def _y_range(chart: Chart) -> Range1d:
    low = min(float(series.table["min"].min()) for series in chart.series)
    high = max(float(series.table["max"].max()) for series in chart.series)
    room = 0.06 * ((high - low) or abs(high) or 1)
    return Range1d(0 if 0 <= low < 0.4 * high else low - room, high + room)


def _chart_facts(chart: Chart) -> dict[str, Any]:
    return {"id": chart.id, "unit": chart.unit, "over": chart.over, "series": len(chart.series)}


def _epochs_table(number: int, run: Curves, runs: Sequence[Curves]) -> Table:
    alike = [other for other in runs if other.name == run.name]
    which = f", run {1 + [other is run for other in alike].index(True)} of {len(alike)}" if len(alike) > 1 else ""
    return frame_table(f"Numbers of each epoch: {run.name}{which}", run.metrics.dropna(axis="columns", how="all"), folded=True)
