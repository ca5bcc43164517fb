"""The sections of everything that was measured and of what made it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from psmt_viz.report.section import Section
from psmt_viz.report.tables import Table, make_table
from psmt_viz.results import Saved
from psmt_viz.results.result import PARTS


def numbers_section(sections: Iterable[Section]) -> Section | None:
    """Returns the tables of numbers that the results' sections bring, to search."""
    tables = [table for section in sections for table in section.numbers]
    if not tables:
        return None
    words = (
        "Columns are those of the files, which hold more digits. Rates are shares of the correct pixels, with the "
        "bounds of their 95 % intervals; kl is in nats, summed over the pixels of an image, mean over images."
    )
    return Section(id="numbers", title="All numbers", paragraphs=(words,), tables=tuple(tables), open=False)


def provenance_section(saved: Saved) -> Section | None:
    """Returns what made the results: the manifest, and what each result was asked for, used and measured."""
    tables = [*_manifest(saved.manifest), *_facts(saved)]
    if not tables:
        return None
    return Section(id="provenance", title="Provenance", tables=tuple(tables), part="tables.html", open=False)


_MANIFEST = {
    "run": "Run",
    "versions": "Versions",
    "inputs": "SHA-256 of the inputs",
    "data": "Data set",
    "parameters": "Settings of the figures and tables",
    "outputs": "SHA-256 of the results",
}


def _manifest(manifest: Mapping[str, Any]) -> Iterator[Table]:
    for key, caption in _MANIFEST.items():
        if facts := manifest.get(key):
            yield _facts_table(caption, facts, folded=key == "outputs")


def _facts(saved: Saved) -> Iterator[Table]:
    for result in saved.results.values():
        facts = {part: values for part in PARTS if (values := getattr(result, part))}
        if facts:
            yield _facts_table(f"Asked, used and measured: {result.TITLE}", facts, folded=True)


def _facts_table(caption: str, facts: Any, *, folded: bool) -> Table:
    return make_table(caption, ("fact", "value"), list(_flat(facts)), folded=folded)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields each fact under its path, lists of plain values on one line."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{path} › {key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(part, list | Mapping) for part in value):
        for number, part in enumerate(value, 1):
            yield from _flat(part, f"{path} › {number}" if path else str(number))
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value) or "none"
    if value is None or value == {}:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
