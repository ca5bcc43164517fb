"""A part of the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from psmt_viz.report.pictures import Picture, Stored
from psmt_viz.report.tables import Table


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands below it; the reader can fold it."""

    id: str
    """Where links lead; letters and hyphens."""
    title: str
    paragraphs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What is wrong with a result."""
    pictures: tuple[Picture | Stored, ...] = ()
    """To be drawn, or drawn."""
    tables: tuple[Table, ...] = ()
    numbers: tuple[Table, ...] = ()
    """Tables of the files for the section of all numbers."""
    part: str = "plain.html"
    """The template that draws the section."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What a template of its own needs besides."""
    scripts: tuple[str, ...] = ()
    """Own scripts that this section needs, in this order."""
    open: bool = True
    """Whether the section is unfolded at first."""


def merged(sections: Iterable[Section]) -> list[Section]:
    """Returns sections of which those of one id are one: the first, with the words and pictures of the others below."""
    found: dict[str, Section] = {}
    for section in sections:
        first = found.get(section.id)
        if first is None:
            found[section.id] = section
        else:
            names = ("paragraphs", "warnings", "pictures", "tables", "numbers")
            both: dict[str, Any] = {name: (*getattr(first, name), *getattr(section, name)) for name in names}
            found[section.id] = replace(first, **both)
    return list(found.values())
