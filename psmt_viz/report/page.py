"""The page as a whole: which sections there are, and one file of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from psmt_viz.errors import UserError
from psmt_viz.files import write_text
from psmt_viz.report.headline import headline
from psmt_viz.report.inline import bokeh_script, content_policy, static
from psmt_viz.report.numbers import numbers_section, provenance_section
from psmt_viz.report.pictures import Stored, stored
from psmt_viz.report.section import Section, merged
from psmt_viz.report.summary import summary_section
from psmt_viz.results import Saved
from psmt_viz.results.registry import commands

_ALWAYS = ("page.js",)
_PLOTS = "plots.js"


def write_report(saved: Saved, path: Path, *, drawn: Mapping[str, Figure] = MappingProxyType({})) -> Path:
    """Writes one page of everything that is there; it opens from disk and loads nothing.

    Equal results and versions give equal bytes.

    Args:
        saved: The results; a section is left out where there is none of its sort.
        path: The file, in an existing folder.
        drawn: Stem of the files -> figures on white paper that were drawn of these results before.

    Returns:
        The path.

    Raises:
        UserError: if there is nothing to show, or a result is damaged.
    """
    sections = [_pictured(section, drawn) for section in _sections(saved)]
    if not sections:
        raise UserError("results to show", "none", f"give a folder that psmt-viz {commands()} wrote")
    write_text(path, _render(saved, sections))
    return path


def _sections(saved: Saved) -> Iterator[Section]:
    """Yields the key numbers, the section that the module of each result's name makes, all numbers and provenance."""
    made = [import_module(f"psmt_viz.report.{name}").section(result) for name, result in saved.results.items()]
    own = merged(section for section in made if section is not None)
    for section in (summary_section(saved), *own, numbers_section(own), provenance_section(saved)):
        if section is not None:
            yield section


def _pictured(section: Section, drawn: Mapping[str, Figure]) -> Section:
    """Returns a section with its pictures drawn."""
    pictures = (each if isinstance(each, Stored) else stored(each, drawn.get(each.name)) for each in section.pictures)
    return replace(section, pictures=tuple(pictures))


def _render(saved: Saved, sections: list[Section]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    first, last = static("theme.js"), _scripts(sections)
    return environment.get_template("page.html").render(
        headline=headline(saved),
        sections=sections,
        style=static("page.css"),
        first_script=first,
        scripts=last,
        policy=content_policy([first, *last]),
    )


def _unbroken(value: Any) -> Any:
    """Returns text in which no line ends between a number and its `%`."""
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return value.replace(" %", "\N{NO-BREAK SPACE}%") if plain else value


def _scripts(sections: list[Section]) -> list[Markup]:
    """Returns the scripts at the end of the page: bokeh only where something is drawn with it."""
    own = list(dict.fromkeys(name for section in sections for name in section.scripts))
    plots = [bokeh_script(), static(_PLOTS)] if own else []
    return [*map(static, _ALWAYS), *plots, *map(static, own)]
