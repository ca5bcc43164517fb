"""The first lines of the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from psmt_viz.results import Saved
from tests.figures import synthetic
from tests.report.reading import Page, coarse_report


def test_the_head_says_run_data_set_and_weights(read: Page) -> None:
    assert "scenes 1_8 data set scenes split 1_8 weights last made with psmt-viz 0.1.0" in read.text


def test_without_a_manifest_a_result_says_what_it_is_of(tmp_path: Path) -> None:
    flips = replace(synthetic.flips(("vat",)), subject={"model": "torchvision:fcn", "dataset": "camvid"})
    page = Page(coarse_report(Saved.of(flips), tmp_path / "index.html").read_text())
    assert "torchvision:fcn data set camvid" in page.text
