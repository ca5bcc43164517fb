"""The section of reliability."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from psmt_viz.report.reliability import section
from psmt_viz.results import Saved
from tests.figures import synthetic
from tests.report.reading import Page, coarse_report


def test_the_page_shows_the_diagrams_and_the_numbers(tmp_path: Path) -> None:
    result = synthetic.reliability()
    page = Page(coarse_report(Saved.of(result), tmp_path / "index.html").read_text())
    assert page.sections() == ["reliability", "numbers", "provenance"]
    row = result.roles.iloc[0]
    bounds = f"{100 * row['ece_low']:.2f} to {100 * row['ece_high']:.2f} %"
    assert f"student {100 * row['ece']:.2f} % {bounds}" in page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "Reliability (reliability_bins.csv)" in page.text
    assert "Asked, used and measured: reliability" in page.text


def test_nothing_is_shown_of_no_role() -> None:
    result = synthetic.reliability()
    assert section(replace(result, roles=result.roles.iloc[:0])) is None
