"""Maps of other perturbations than VAT and T-VAT, of one and of three, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psmt_viz.figures.words import kind_words
from psmt_viz.report.tsne_map import map_order
from psmt_viz.results import PixelEmbedding, Saved
from tests.report import mapped
from tests.report.opening import CARD, CHOOSE, COUNTS, Opened
from tests.report.reading import coarse_report


@pytest.fixture(scope="module", params=[{"random": 30}, {"pgd": 40, "random": 30, "vat": 20}], ids=["one", "three"])
def embedding(request: pytest.FixtureRequest) -> PixelEmbedding:
    found = mapped.embedding(40, images=6, panels=request.param)
    for panel in found.perturbations:  # the first pixels are flipped by all
        found.pixels.loc[:3, f"pred_{panel}"] = found.pixels.loc[:3, "label"] + 1
    return found


@pytest.fixture(scope="module")
def other(browser: Any, embedding: PixelEmbedding, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    path: Path = coarse_report(Saved.of(embedding), tmp_path_factory.mktemp("other") / "index.html")
    with Opened(browser, path) as found:
        yield found


def test_every_panel_has_its_map_its_filter_and_its_line_in_the_card(other: Opened, embedding: PixelEmbedding) -> None:
    names = [kind_words(panel) for panel in embedding.perturbations]
    assert other.page.locator("#map-panels h3").all_text_contents() == ["original", *(f"+ {name}" for name in names)]
    filters = [text.strip() for text in other.page.locator("[data-flipped]").all_text_contents()]
    assert filters == ["in any panel"] * (len(names) > 1) + [f"by {name}" for name in names]
    lines = other.page.locator("#card dt").all_text_contents()
    assert [line for line in lines if line.startswith("after")] == [f"after {name}" for name in names]
    assert not other.complaints


def test_stars_are_full_where_all_perturbations_flip(other: Opened, embedding: PixelEmbedding) -> None:
    wrong = np.array([embedding.flipped(panel) for panel in embedding.perturbations])
    shared = wrong.all(axis=0)
    expected = [[len(shared), 0, 0]]
    expected += [[int((~own).sum()), int((own & shared).sum()), int((own & ~shared).sum())] for own in wrong]
    assert other.page.evaluate(COUNTS) == expected


def test_the_card_says_what_flips_a_pixel(other: Opened, embedding: PixelEmbedding) -> None:
    rows = embedding.pixels.iloc[map_order(embedding)].reset_index(drop=True)
    said = set()
    for index, row in enumerate(rows.to_dict("records")):
        by = [kind_words(p) for p in embedding.perturbations if row[f"pred_{p}"] != row["label"]]
        if len(by) in said:
            continue
        said.add(len(by))
        other.page.evaluate(CHOOSE, index)
        every = by[0] if len(embedding.perturbations) == 1 and by else "all 3"
        words = {0: "none", len(embedding.perturbations): every}
        words.setdefault(1, f"{' '.join(by)} alone")
        assert other.page.evaluate(CARD)["flipped_by"] == words.get(len(by), ", ".join(by))
    assert {0, len(embedding.perturbations)} <= said


def test_the_status_counts_each_perturbation_and_all(other: Opened, embedding: PixelEmbedding) -> None:
    wrong = {panel: embedding.flipped(panel) for panel in embedding.perturbations}
    parts = [f"{flips.sum()} by {kind_words(panel)}" for panel, flips in wrong.items()]
    if len(wrong) > 1:
        parts.append(f"{np.all(list(wrong.values()), axis=0).sum()} by all {len(wrong)}")
    count = len(embedding.pixels)
    expected = f"{count} of {count} pixels shown; flipped among them: {', '.join(parts)}."
    assert other.page.locator("#map-status").text_content() == expected
