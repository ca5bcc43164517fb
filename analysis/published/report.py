"""A table of comparisons: what was compared, the difference and the tolerance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

OK, BEYOND, INPUTS, SHOWN = "ok", "BEYOND", "INPUTS DIFFER", "not judged"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison."""

    piece: str
    difference: float
    tolerance: float | None
    """The largest difference that is allowed; None where none is stated."""
    verdict: str
    note: str = ""


@dataclass
class Report:
    """The comparisons of one file."""

    rows: list[Row] = field(default_factory=list)

    def judge(self, piece: str, difference: float, tolerance: float, note: str = "") -> None:
        """Adds a difference that must not be above a tolerance; NaN is above each."""
        verdict = OK if difference <= tolerance else BEYOND
        self.rows.append(Row(piece=piece, difference=difference, tolerance=tolerance, verdict=verdict, note=note))

    def worst(self, piece: str, differences: Iterable[tuple[str, float]], tolerance: float) -> None:
        """Adds the largest of some named differences; no row if there is none."""
        found = list(differences)
        if found:
            name, value = max(found, key=lambda each: math.inf if math.isnan(each[1]) else each[1])
            self.judge(piece, value, tolerance, f"worst of {len(found)}: {name}" if len(found) > 1 else name)

    def show(self, piece: str, difference: float, note: str = "") -> None:
        """Adds a difference for which no tolerance is stated."""
        self.rows.append(Row(piece=piece, difference=difference, tolerance=None, verdict=SHOWN, note=note))

    def inputs(self, piece: str, wrong: list[str], total: int) -> bool:
        """Adds whether rebuilt inputs are those of the file, and returns it.

        Args:
            piece: Which inputs.
            wrong: The names of those that differ.
            total: How many there are.
        """
        verdict = INPUTS if wrong else OK
        note = f"rebuilt otherwise than the file states: {', '.join(wrong)}" if wrong else f"{total} compared"
        row = Row(piece=f"inputs of {piece}", difference=len(wrong), tolerance=0, verdict=verdict, note=note)
        self.rows.append(row)
        return not wrong

    @property
    def passed(self) -> bool:
        """Whether nothing is beyond its tolerance and all inputs could be rebuilt."""
        return all(row.verdict in (OK, SHOWN) for row in self.rows)

    def summary(self) -> str:
        """Returns how many comparisons have which verdict."""
        counts = Counter(row.verdict for row in self.rows)
        return ", ".join(f"{counts[verdict]} {verdict}" for verdict in (OK, BEYOND, INPUTS, SHOWN) if counts[verdict])

    def table(self) -> str:
        """Returns the comparisons as a table."""
        lines = [("piece", "difference", "tolerance", "verdict", "")]
        for row in self.rows:
            allowed = "-" if row.tolerance is None else f"{row.tolerance:.3g}"
            lines.append((row.piece, f"{row.difference:.3g}", allowed, row.verdict, row.note))
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        text = []
        for line in lines:
            cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
            text.append("  ".join([*cells, line[4]]).rstrip())
        return "\n".join(text)


def relative(found: float, stated: float) -> float:
    """Returns |found - stated| over |stated|; the plain difference where 0 is stated."""
    difference = abs(found - stated)
    return difference / abs(stated) if stated else difference
