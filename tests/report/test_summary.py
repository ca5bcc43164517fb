"""The key numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from psmt_viz.results import Evaluation, Flips, PixelEmbedding, Saved, ScoreTable
from tests.figures import synthetic
from tests.report.reading import Page, coarse_report


def test_key_numbers(read: Page, everything: Saved) -> None:
    scores = everything.get(Evaluation).table().set_index("role")["miou"]
    assert f"the student {100 * scores['student']:.2f} %, teacher 1 {100 * scores['teacher1']:.2f} %" in read.text
    row = (
        everything.get(Flips)
        .flips.query("kind == 'vat' and judge == 'student' and eps == 2 and norm == 'image'")
        .iloc[0]
    )
    assert row["flip_rate"] == pytest.approx(0.0014, rel=1e-3)
    count = f"{row['flipped_pixels']:,}"
    assert f"VAT turns {count} (0.140 %) wrong" in read.text
    bounds = f"{100 * row['flip_rate_low']:.3f} to {100 * row['flip_rate_high']:.3f} %"
    assert f"VAT {count} of 3,000,000 (0.140 %) {bounds}" in read.text


def test_key_numbers_say_what_both_flip_and_what_one_alone(read: Page, everything: Saved) -> None:
    wrong = [everything.get(PixelEmbedding).flipped(panel) for panel in ("vat", "tvat")]
    both = sum(map(all, zip(*wrong, strict=True)))
    assert 0 < both < 40
    text = (
        "Of 25,000 correct pixels on the t-SNE map, 40 after VAT and 55 after T-VAT are flipped: "
        f"{both} by both, {40 - both} by VAT alone and {55 - both} by T-VAT alone."
    )
    assert text in read.text
    legend = f"flipped by both {both} flipped by VAT alone {40 - both} flipped by T-VAT alone {55 - both}"
    assert legend in read.text


@pytest.mark.parametrize(("images", "there"), [(1449, True), (1448, False)])
def test_published_scores_stand_beside_pascal_voc_alone(images: int, there: bool, tmp_path: Path) -> None:
    subject = {"dataset": "mine", "split": "1_8"}
    scores = synthetic.evaluation(synthetic.VOC, subject=subject, asked={"part": "val"}, used={"images": images})
    saved = Saved.of(scores, ScoreTable.of([("mine", scores)]))
    text = Page(coarse_report(saved, tmp_path / "index.html").read_text()).text
    found = ("75.59 %" in text, "75.70 %" in text, "published PS-MT, DeepLabV3+ ResNet-50" in text)
    assert found == (there, there, there)
