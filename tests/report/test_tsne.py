"""The section of the map: words, counts and the table of flipped pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from psmt_viz.results import PixelEmbedding, Saved
from tests.report import mapped
from tests.report.reading import Page, coarse_report


def test_the_median_move_is_compared_with_the_placement_error(read: Page, tmp_path: Path) -> None:
    words = "Median move, of the map's longer side: VAT 0.0150 %, within the placement error (0.0180 %); T-VAT 0.0200 %"
    assert f"{words}, 0.0020 % beyond it." in read.text
    small = mapped.embedding(20)
    page = coarse_report(Saved.of(replace(small, measured={})), tmp_path / "index.html")
    assert "Median move" not in Page(page.read_text()).text


def test_panels_count_flips_with_the_interval_where_it_is_known(read: Page) -> None:
    assert "original 0 of 25,000 (0 %) flipped 95 % interval 0 to 0 %" in read.text
    assert "+ VAT 40 of 25,000 (0.160 %) flipped 95 % interval 0.110 to 0.220 %" in read.text
    assert "+ T-VAT 55 of 25,000 (0.220 %) flipped" in read.text


def test_flipped_pixels_are_a_table(read: Page, everything: Saved) -> None:
    embedding, names = everything.get(PixelEmbedding), everything.get(PixelEmbedding).classes
    wrong = embedding.flipped("vat") | embedding.flipped("tvat")
    assert f"The {wrong.sum()} flipped pixels" in read.text
    for row in embedding.pixels[wrong].itertuples():
        cells = (
            row.image,
            row.row,
            row.col,
            *(names[i] for i in (row.label, row.pred_clean, row.pred_vat, row.pred_tvat)),
            {(True, True): "both", (True, False): "VAT alone", (False, True): "T-VAT alone"}[
                row.pred_vat != row.label, row.pred_tvat != row.label
            ],
        )
        assert " ".join(map(str, cells)) in read.text
