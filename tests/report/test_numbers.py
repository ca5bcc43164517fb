"""The sections of all numbers and of their provenance."""

from __future__ import annotations

from tests.report.reading import Page


def test_provenance_holds_every_fact(read: Page) -> None:
    for fact in ("config.json " + "ab" * 32, "python 3.11.7", "sweep 0.5, 2", "layout frozen"):
        assert fact in read.text
