"""The section of perturbations."""

from __future__ import annotations

from psmt_viz.results import Flips, Saved
from tests.report.reading import Page


def test_warnings_are_said(read: Page) -> None:
    assert "T-VAT as published: the search's step leaves 97 % of the features unchanged" in read.text


def test_all_rows_of_flips_are_there(html: str, everything: Saved) -> None:
    table = html[html.index("Flips (flips.csv)") :]
    table = table[: table.index("</table>")]
    assert table.count("<tr>") - 1 == len(everything.get(Flips).flips)
    assert f"{len(everything.get(Flips).flips):,} rows" in table
