"""The section of training: interactive charts, and the numbers of each epoch as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    VArea,
)
from bokeh.models.annotations.geometry import Span

from psmt_viz.figures.curves_words import fall_after_warmup
from psmt_viz.figures.epochs import by_name
from psmt_viz.report.charts import Chart, Series, make_charts
from psmt_viz.report.documents import Paint, document_json, new_plot
from psmt_viz.report.inline import json_text
from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, frame_table
from psmt_viz.report.themes import greys
from psmt_viz.results import Curves, Training

_FONT = "system-ui, sans-serif"
_LABELS = {"epoch": "epoch", "iteration": "iteration after warm-up"}


def section(training: Training) -> Section | None:
    """Returns the charts of training."""
    if not (charts := make_charts(training)):
        return None
    over_epochs = [series for chart in charts if chart.over == "epoch" for series in chart.series]
    facts = {
        "charts": charts,
        "by_images": all(len(series.images) for series in over_epochs),
        "plots_json": json_text(_plots_json(charts)),
        "facts_json": json_text([_chart_facts(chart) for chart in charts]),
    }
    return Section(
        id="curves",
        title="Training curves",
        paragraphs=(_words(training.runs), *_falls(training.runs)),
        tables=tuple(_epoch_tables(training.runs)),
        part="curves.html",
        facts=facts,
        scripts=("curves.js",),
    )


def _words(runs: Sequence[Curves]) -> str:
    words = "Measured after each epoch. Values are at the pointer, or at the last epoch."
    if len({run.name for run in runs}) < len(runs):
        words += " With several seeds: the line is the mean, the band goes from min to max."
    return words


def _falls(runs: Sequence[Curves]) -> Iterator[str]:
    """Yields a sentence for each run whose ensemble falls after the warm-up."""
    for run in runs:
        if (fall := fall_after_warmup(run)) is not None:
            yield fall.words() if len(runs) == 1 else f"{run.name}: {fall.words()}"


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
        "major_label_text_font": _FONT,
        "axis_label_text_font": _FONT,
        "major_label_text_font_size": "12px",
        "axis_label_text_font_size": "12px",
        "axis_label_text_font_style": "normal",
    }
    whole: dict[str, Any] = {
        "ticker": AdaptiveTicker(min_interval=1, mantissas=[1, 2, 5]),
        "formatter": NumeralTickFormatter(format="0,0"),
    }
    left = LinearAxis(formatter=BasicTickFormatter(power_limit_low=-5), **looks)
    plot.add_layout(LinearAxis(axis_label=_LABELS[over], **whole, **looks), "below")
    plot.add_layout(left, "left")
    plot.add_layout(Grid(dimension=1, ticker=left.ticker))


def _add_series(plot: Plot, series: Series, name: str, over: str) -> list[Paint]:
    table = series.table
    columns: dict[str, Any] = {over: table.index.to_numpy(np.float64), "mean": table["mean"].to_numpy(np.float64)}
    columns |= {end: table[end].to_numpy(np.float64) for end in ("min", "max")}
    if len(series.images):
        columns["images"] = series.images.reindex(table.index).to_numpy(np.float64)
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
    places = [place for chart in charts for series in chart.series for place in series.table.index]
    low, high = float(min(places, default=0)), float(max(places, default=1))
    if low == high:
        low, high = low - 1, high + 1
    return Range1d(start=low, end=high)


def _y_range(chart: Chart) -> Range1d:
    low = min(float(series.table["min"].min()) for series in chart.series)
    high = max(float(series.table["max"].max()) for series in chart.series)
    room = 0.06 * ((high - low) or abs(high) or 1)
    return Range1d(start=0 if 0 <= low < 0.4 * high else low - room, end=high + room)


def _chart_facts(chart: Chart) -> dict[str, Any]:
    return {"id": chart.id, "unit": chart.unit, "over": chart.over, "series": len(chart.series)}


def _epoch_tables(runs: Sequence[Curves]) -> Iterator[Table]:
    """Yields metrics.csv of each run, without what it could not measure."""
    for name, group in by_name(runs).items():
        for number, run in enumerate(group, 1):
            which = f", run {number} of {len(group)}" if len(group) > 1 else ""
            measured = run.metrics.dropna(axis="columns", how="all")
            yield frame_table(f"Numbers of each epoch: {name}{which}", measured, folded=True)
