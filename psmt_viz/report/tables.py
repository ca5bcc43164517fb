"""Tables of the page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    """Whether a column is set flush right."""
    searchable: bool = False
    """Whether the reader can narrow the rows to those that hold words."""
    folded: bool = False
    """Whether only the caption is seen at first."""


def make_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], **settings: Any) -> Table:
    """Returns a table; a column of numbers is set flush right.

    Args:
        caption: What the table shows.
        columns: Headings.
        rows: Cells: numbers, text, or None where there is nothing.
        settings: Fields of `Table`.
    """
    cells = [tuple(row) for row in rows]
    numeric = tuple(
        all(row[place] is None or isinstance(row[place], int | float) or _reads_as_number(row[place]) for row in cells)
        for place in range(len(columns))
    )
    texts = tuple(tuple(cell_text(value) for value in row) for row in cells)
    return Table(caption=caption, columns=tuple(columns), rows=texts, numeric=numeric, **settings)


def frame_table(caption: str, frame: pd.DataFrame, **settings: Any) -> Table:
    """Returns a table of a DataFrame, under the frame's own column names."""
    rows = frame.astype(object).itertuples(index=False, name=None)
    return make_table(caption, [str(name) for name in frame], rows, **settings)


def cell_text(value: Any) -> str:
    """Returns a cell: a float with four significant digits or all before the point, a dash where there is no number."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"
    return str(value)


_NUMBER = re.compile(r"[−+-]?\d[\d,]*(\.\d+)?(e[+-]?\d+)?( (to|of) [−+-]?\d[\d,]*(\.\d+)?)?( %)?( \(.*\))?")


def _reads_as_number(text: str) -> bool:
    """Tells `0.12 %`, `1 to 2 %`, `3 of 40` and `48.9 (48.1 to 49.3)` from words, so that they align."""
    return _NUMBER.fullmatch(text) is not None
