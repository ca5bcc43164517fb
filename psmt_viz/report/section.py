"""A part of the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from psmt_viz.report.pictures import Picture
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
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    part: str = "plain.html"
    """The template that draws the section."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What a template of its own needs besides."""
    scripts: tuple[str, ...] = ()
    """Own scripts that this section needs, in this order."""
    open: bool = True
    """Whether the section is unfolded at first."""
