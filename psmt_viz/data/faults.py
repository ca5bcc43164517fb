"""What can be wrong with a data set on disk.

Readers return a `Fault` instead of raising, so that a data set (`voc`) can stop at the first one and `checks` can go
on and list them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from psmt_viz.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong with a data set."""

    kind: str
    where: str
    """The file (and line) at fault, relative to the data set where it lies inside."""
    expected: str
    found: str
    fix: str
    severity: Literal["error", "warning"] = "error"

    def error(self, root: Path) -> UserError:
        """Returns the fault as the error that a user sees, with the way to all other faults."""
        got = self.found if self.where in self.expected else f"{self.found} ({self.where})"
        hint = f" (psmt-viz checks --data {root} lists every fault)" if root.is_dir() else ""
        return UserError(self.expected, got, self.fix + hint)


def first_error(faults: Iterable[Fault]) -> Fault | None:
    """Returns the first fault that keeps the data from being read, if any."""
    return next((fault for fault in faults if fault.severity == "error"), None)


def relative(path: Path, root: Path) -> str:
    """Returns how a path is shown: relative to the data set's folder if it lies inside, with forward slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def some(items: Sequence[str]) -> str:
    """Returns how many items there are, and the first few of them."""
    more = ", ..." if len(items) > 5 else ""
    return f"{len(items)}: {', '.join(items[:5])}{more}"


def printable(text: str) -> str:
    """Returns text in which bytes of a file's name that are no UTF-8 are written out."""
    return text.encode("utf-8", "backslashreplace").decode()
