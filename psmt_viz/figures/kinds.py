"""What figures of perturbations share: how a kind is drawn, which rows are drawn, and warnings about a kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextToPath

from psmt_viz.figures.style import flip_color, on_paper, plain, require, shade
from psmt_viz.figures.words import kind_words
from psmt_viz.kinds import KINDS, Dashes, kinds_in_order
from psmt_viz.roles import roles_in_order

OWN = "own"
"""The norm of a feature perturbation of the size at which its authors apply it."""


class Look(NamedTuple):
    """How a kind is named and drawn on the current paper."""

    title: str
    color: str
    marker: str
    line: Dashes


_LINE_HEIGHT = 2.7
_INDENT = "   "


def look(kind: str) -> Look:
    """Returns how a kind is drawn on the current paper; an unknown one is a thin line under its own name."""
    title = plain(kind_words(kind))
    if kind not in KINDS:
        return Look(title, shade(0.3), "d", (0, (1, 3)))
    known = KINDS[kind]
    return Look(title, on_paper(known.color), known.marker, known.line)


def judge_of(table: pd.DataFrame, judge: str) -> str:
    """Returns the judge if the table has rows of it, else the first that it has rows of."""
    judges = roles_in_order(table["judge"])
    return judge if judge in judges or not judges else judges[0]


def rows_at(table: pd.DataFrame, eps: float) -> pd.DataFrame:
    """Returns the rows of one eps, without those of a kind's own size.

    Args:
        table: A table of `Flips`; where it has rows of both norms, those per image are returned.
        eps: The norm of the perturbation.

    Raises:
        UserError: if the table has no such rows.
    """
    sweep = table[table["norm"] != OWN]
    rows = sweep[np.isclose(sweep["eps"].to_numpy(float), eps)]
    known = ", ".join(f"{value:g}" for value in np.unique(sweep["eps"].to_numpy(float))) or "none"
    require(len(rows) > 0, f"a sweep with eps = {eps:g}", f"eps {known}", "choose one of these, or perturb again")
    return rows[rows["norm"] == min(rows["norm"].astype(str))]


def add_warnings(figure: Figure, health: Mapping[str, Any]) -> None:
    """Writes what is wrong with each kind below a figure, which grows by as much; nothing where nothing is wrong.

    Args:
        figure: A figure with a constrained layout and nothing outside it at the bottom.
        health: `Flips.health`.
    """
    width, height = (25.4 * float(side) for side in figure.get_size_inches())
    lines: list[str] = []
    for kind in kinds_in_order(health):
        if sentences := health[kind].get("warnings"):
            text = f"{look(kind).title}: {'; '.join(plain(sentence) for sentence in sentences)}"
            lines += _wrapped(text, width - 5)
    if not lines:
        return
    added = _LINE_HEIGHT * len(lines) + 2
    figure.set_size_inches(width / 25.4, (height + added) / 25.4)
    share = added / (height + added)
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, share, 1, 1 - share))
    figure.text(1.5 / width, 1 / (height + added), "\n".join(lines), color=flip_color(), fontsize=6, va="bottom",
                linespacing=1.2, gid="warnings")  # fmt: skip


def _wrapped(text: str, width: float) -> list[str]:
    """Returns text in lines of 6 pt that are at most `width` mm wide, all but the first indented."""
    font, measure, lines = FontProperties(family="DejaVu Sans", size=6), TextToPath(), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        points = measure.get_text_width_height_descent(longer, font, ismath=False)[0]
        if points * 25.4 / 72 > width and lines[-1].strip():
            lines.append(_INDENT + word)
        else:
            lines[-1] = longer
    return lines
