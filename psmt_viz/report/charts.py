"""The charts of training: which lines each has, over epochs or iterations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

import pandas as pd

from psmt_viz.figures.curves import FORMS, ramp_lines
from psmt_viz.figures.epochs import by_name, images_seen, over_seeds
from psmt_viz.figures.style import line_colors, role_color
from psmt_viz.report.themes import both, greys
from psmt_viz.results import Curves, Training
from psmt_viz.results.columns import Column, column
from psmt_viz.roles import STUDENT, leading, role_of, roles_in_order

Dash = tuple[int, ...]
_ORDER = ("miou", "loss", "confident", "distance", "disagreement", "rate", "weight")
"""The charts in which readers look first; others follow."""
_WIDE, _THIN = 2.0, 1.2
"""Widths of a line in CSS pixels: of what a run stands for, and of the single teachers of an ensemble."""
_UNIT = 2.0
"""CSS pixels of a dash of length 1, whatever the line's width."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line, with a band from the lowest to the highest of several seeds."""

    label: str
    light: str
    """Its colour on white paper."""
    dark: str
    dash: Dash
    width: float
    table: pd.DataFrame
    """mean, min, max and count, by epoch or iteration."""
    images: pd.Series = field(default_factory=lambda: pd.Series(dtype=float))
    """Images seen by epoch; empty where they are not known."""

    @property
    def band(self) -> bool:
        """Whether there is more than one seed anywhere."""
        return bool(self.table["count"].max() > 1)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines of one unit."""

    id: str
    title: str
    unit: str
    """`%`, or nothing."""
    series: tuple[Series, ...]
    over: str = "epoch"
    """`epoch` or `iteration`."""


def make_charts(training: Training) -> tuple[Chart, ...]:
    """Returns the charts for which something was measured, and the ramp-up of the first run that has one."""
    columns = [column(name) for name in dict.fromkeys(str(name) for run in training.runs for name in run.metrics)]
    charts = dict.fromkeys((*_ORDER, *(each.chart for each in columns if each.chart)))
    made = []
    for id in charts:
        lines = [each for each in columns if each.chart == id]
        if series := tuple(_series(training.runs, _in_order(lines))):
            title = lines[0].text
            made.append(Chart(id=id, title=title[0].upper() + title[1:], unit=lines[0].unit[:1], series=series))
    if training.ramped is not None:
        made.append(_ramp_chart(training.ramped))
    return tuple(made)


def _in_order(lines: Sequence[Column]) -> list[Column]:
    """Returns the lines of a chart as its legend has them: of roles the ensemble first, the student last."""
    roles = roles_in_order(each.role for each in lines if each.role)
    return sorted(lines, key=lambda each: -roles.index(each.role) if each.role else 0)


def _series(runs: Sequence[Curves], lines: Sequence[Column]) -> Iterator[Series]:
    groups = by_name(runs)
    alone = len(groups) == 1
    light, dark = both(lambda: (role_color(STUDENT), *line_colors()))
    for (name, group), color in zip(groups.items(), cycle(zip(light, dark, strict=True)), strict=False):
        tables = [(line, over_seeds(group, line.name, scale=line.scale)) for line in lines]
        measured = [(line, table) for line, table in tables if len(table)]
        main = leading([line.role for line, _ in measured if line.role])
        for line, table in measured:
            thin = line.role is not None and line.role not in main
            if thin and not alone:
                continue
            count = int(table["count"].max())
            seeds = f" ({count} seeds)" if count > 1 else ""
            own = both(partial(role_color, line.color)) if alone else color
            yield Series(
                label=f"{line.label}{seeds}" if alone else f"{name}{seeds}, {line.label}",
                light=own[0],
                dark=own[1],
                dash=_dash(line.dashes),
                width=_THIN if thin else _WIDE,
                table=table,
                images=images_seen(group),
            )


def _dash(dashes: Sequence[float]) -> Dash:
    return tuple(round(_UNIT * length) for length in dashes)


def _ramp_chart(run: Curves) -> Chart:
    kind = run.ramp["kind"]
    steps, weights = ramp_lines(run, 400)
    series = []
    for form, title in sorted(FORMS.items(), key=lambda item: item[0] != kind):
        used, values = form == kind, weights[form]
        table = pd.DataFrame({"mean": values, "min": values, "max": values, "count": 1}, index=steps)
        color = both(partial(role_color, STUDENT)) if used else greys(0.45)
        series.append(
            Series(
                label=title if used else f"{title}, not used",
                light=color[0],
                dark=color[1],
                dash=() if used else _dash(role_of(STUDENT).dashes),
                width=_WIDE if used else _THIN,
                table=table,
            )
        )
    return Chart(id="ramp", title=f"Ramp-up of {run.name}", unit="", series=tuple(series), over="iteration")
