"""The charts of training: which lines each has, over epochs or iterations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import pandas as pd

from psmt_viz.figures.curves import FORMS, ramp_lines
from psmt_viz.figures.epochs import by_name, images_seen, over_seeds
from psmt_viz.figures.style import ROLE_LABELS, line_colors, role_color
from psmt_viz.report.themes import both, greys
from psmt_viz.results import ROLES, Curves, Training

Dash = tuple[int, ...]
_SOLID: Dash = ()
_DASHED: Dash = (7, 4)
_ROLE_DASHES: dict[str, Dash] = {"student": _DASHED, "teacher1": (2, 3), "teacher2": (7, 3, 2, 3), "ensemble": _SOLID}


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


@dataclass(frozen=True)
class _Line:
    """One measured column, in one colour where a single experiment is shown."""

    column: str
    label: str
    color: Callable[[], str]
    dash: Dash = _SOLID
    width: float = 2.0
    many: bool = True
    """Whether it is drawn too where there are several experiments."""


def _of_role(role: str) -> Callable[[], str]:
    return lambda: role_color(role)


_BLUE, _ORANGE = _of_role("student"), _of_role("ensemble")
_ROLE_LINES = tuple(
    _Line(
        f"miou_{role}",
        ROLE_LABELS[role],
        _of_role(role),
        _ROLE_DASHES[role],
        width=1.2 if role.startswith("teacher") else 2.0,
        many=not role.startswith("teacher"),
    )
    for role in reversed(ROLES)
)
_CHARTS: tuple[tuple[str, str, str, tuple[_Line, ...]], ...] = (
    ("miou", "Validation mIoU", "%", _ROLE_LINES),
    (
        "loss",
        "Losses",
        "",
        (_Line("loss_sup", "supervised", _BLUE), _Line("loss_unsup", "unsupervised", _ORANGE, _DASHED)),
    ),
    ("confident", "Confident unlabelled pixels", "%", (_Line("confident_fraction", "confident", _ORANGE),)),
    (
        "distance",
        "Distance of the teachers' weights, of their norm",
        "%",
        (_Line("teacher_distance", "distance", _BLUE),),
    ),
    (
        "disagreement",
        "Unlabelled pixels where the teachers disagree",
        "%",
        (_Line("teacher_disagreement", "disagreement", _BLUE),),
    ),
    ("rate", "Learning rate", "", (_Line("learning_rate", "learning rate", _BLUE),)),
    ("weight", "Weight of the unsupervised loss", "", (_Line("unsup_weight", "weight", _ORANGE),)),
)


def make_charts(training: Training) -> tuple[Chart, ...]:
    """Returns the charts for which something was measured, and the ramp-up of the first run that has one."""
    made = []
    for id, title, unit, lines in _CHARTS:
        if series := tuple(_series(training.runs, lines, scale=100 if unit else 1)):
            made.append(Chart(id=id, title=title, unit=unit, series=series))
    if training.ramped is not None:
        made.append(_ramp_chart(training.ramped))
    return tuple(made)


def _series(runs: Sequence[Curves], lines: Sequence[_Line], *, scale: float) -> Iterator[Series]:
    groups = by_name(runs)
    alone = len(groups) == 1
    light, dark = both(lambda: (role_color("student"), *line_colors()))
    for (name, group), color in zip(groups.items(), cycle(zip(light, dark, strict=True)), strict=False):
        for line in lines:
            table = over_seeds(group, line.column, scale=scale)
            if table.empty or not (alone or line.many):
                continue
            count = int(table["count"].max())
            seeds = f" ({count} seeds)" if count > 1 else ""
            own = both(line.color) if alone else color
            yield Series(
                label=f"{line.label}{seeds}" if alone else f"{name}{seeds}, {line.label}",
                light=own[0],
                dark=own[1],
                dash=line.dash,
                width=line.width,
                table=table,
                images=images_seen(group),
            )


def _ramp_chart(run: Curves) -> Chart:
    kind = run.ramp["kind"]
    steps, weights = ramp_lines(run, 400)
    series = []
    for form, title in sorted(FORMS.items(), key=lambda item: item[0] != kind):
        used, values = form == kind, weights[form]
        table = pd.DataFrame({"mean": values, "min": values, "max": values, "count": 1}, index=steps)
        color = both(_BLUE) if used else greys(0.45)
        series.append(
            Series(
                label=title if used else f"{title}, not used",
                light=color[0],
                dark=color[1],
                dash=_SOLID if used else _DASHED,
                width=2.0 if used else 1.2,
                table=table,
            )
        )
    return Chart(id="ramp", title=f"Ramp-up of {run.name}", unit="", series=tuple(series), over="iteration")
