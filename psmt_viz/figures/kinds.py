"""The kinds of perturbation in every figure: their order, titles, colours, markers, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextToPath

from psmt_viz.figures.style import ROLE_COLORS, ROLE_LABELS, flip_color, on_paper, plain, require, shade
from psmt_viz.results import ROLES

OWN = "own"
"""The norm of a feature perturbation of the size at which its authors apply it."""


class Look(NamedTuple):
    """How a kind is named and drawn, the same in every figure."""

    title: str
    color: str
    marker: str
    line: Any


# A search that asks one role has that role's colour. The others are those of a list of dark colours that lie farthest
# (OKLab, normal sight, protanopia, deuteranopia) from these and from each other. Never a star: that is a flipped pixel.
# `look` gives them for the current paper.
LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "vat": Look("VAT", ROLE_COLORS["student"], "o", "-"),
        "tvat": Look("T-VAT", ROLE_COLORS["ensemble"], "D", "-"),
        "teacher1": Look("teacher 1 only", ROLE_COLORS["teacher1"], "<", "--"),
        "teacher2": Look("teacher 2 only", ROLE_COLORS["teacher2"], ">", "--"),
        "pgd": Look("PGD", "#5A0F78", "s", (0, (5, 1, 1, 1))),
        "tvat-official": Look("T-VAT as published", "#000000", "X", (0, (1, 1))),
        "random": Look("random direction", "#5C5C5C", "^", "-"),
        "dropout": Look("dropout", "#7DAFFA", "v", (0, (4, 1, 1, 1))),
        "feature-drop": Look("feature drop", "#0000FA", "P", (0, (2, 1))),
        "feature-noise": Look("feature noise", "#4B2E00", "h", (0, (1, 2))),
        "cutout": Look("cutout", "#5ADCC8", "p", (0, (6, 2))),
    }
)
MAKERS = ("vat", "tvat", "teacher1", "teacher2", "pgd", "tvat-official")
"""Kinds that search for a direction; the others take one without asking a network."""

_LINE_HEIGHT = 2.7
_INDENT = "   "


def look(kind: str) -> Look:
    """Returns how a kind is drawn on the current paper; an unknown one is a thin line under its own name."""
    if kind not in LOOKS:
        return Look(plain(kind), shade(0.3), "d", (0, (1, 3)))
    return LOOKS[kind]._replace(color=on_paper(LOOKS[kind].color))


def ordered(kinds: Iterable[Any]) -> list[str]:
    """Returns each kind once, in the order of every figure, unknown ones last."""
    return _ordered(kinds, tuple(LOOKS))


def ordered_judges(judges: Iterable[Any]) -> list[str]:
    """Returns each judge once: the student, the teachers, the ensemble, then unknown ones."""
    return _ordered(judges, ROLES)


def judge_of(table: pd.DataFrame, judge: str) -> str:
    """Returns the judge if the table has rows of it, else the first that it has rows of."""
    judges = ordered_judges(table["judge"])
    return judge if judge in judges or not judges else judges[0]


def judged_by(judge: str) -> str:
    """Returns in words who judges."""
    article = "the " if judge in {"student", "ensemble"} else ""
    return f"judged by {article}{ROLE_LABELS.get(judge, plain(judge))}"


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
    for kind in ordered(health):
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


def _ordered(names: Iterable[Any], known: tuple[str, ...]) -> list[str]:
    unique = list(dict.fromkeys(str(name) for name in names))
    return [name for name in known if name in unique] + [name for name in unique if name not in known]
