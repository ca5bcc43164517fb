"""All numbers, and provenance."""

from __future__ import annotations

from psmt_viz.results import Flips, Saved
from tests.report.reading import Page


def test_all_rows_of_flips_are_there(html: str, everything: Saved) -> None:
    table = html[html.index("Flips (flips.csv)") : html.index("Reliability (reliability_bins.csv)")]
    assert table.count("<tr>") - 1 == len(everything.get(Flips).flips)
    assert f"{len(everything.get(Flips).flips):,} rows" in table


def test_provenance_holds_every_fact(read: Page) -> None:
    for fact in ("config.json " + "ab" * 32, "python 3.11.7", "sweep 0.5, 2", "layout frozen"):
        assert fact in read.text
