"""Figures inside the page."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from psmt_viz.figures import (
    draw_closeup,
    draw_flips,
    draw_gradcam,
    draw_judges,
    draw_reliability,
    draw_transfer,
    draw_where,
    export,
    style,
)
from psmt_viz.figures.export import arrange, figure_of
from psmt_viz.report import pictures, write_report
from psmt_viz.results import Saved
from tests.figures import synthetic
from tests.report.reading import Page

FIGURES = {
    "closeup": lambda: draw_closeup(synthetic.closeup(("vat",))),
    "flips": lambda: draw_flips(synthetic.flips(("vat", "tvat"))),
    "gradcam": lambda: draw_gradcam(synthetic.cams(1, (24, 32))),
    "judges": lambda: draw_judges(synthetic.flips(("vat", "tvat"))),
    "reliability": lambda: draw_reliability(synthetic.reliability()),
    "transfer": lambda: draw_transfer(synthetic.flips(("vat", "tvat"))),
    "where": lambda: draw_where(synthetic.flips(("vat", "tvat"))),
}


def test_figures_are_stored_at_twice_the_size_at_which_they_are_read(everything: Saved, tmp_path: Path) -> None:
    page = Page(write_report(Saved.of(everything.results["evaluate"]), tmp_path / "index.html").read_text())
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert [attrs["class"] for attrs in images] == ["on-light", "on-dark"] * 2
    papers = set()
    for attrs in images:
        assert attrs["alt"]
        with Image.open(BytesIO(b64decode(str(attrs["src"]).split(",")[1]))) as picture:
            assert picture.width == pytest.approx(2 * int(str(attrs["width"])), abs=1)
            assert picture.height == pytest.approx(2 * int(str(attrs["height"])), abs=1)
            papers.add((attrs["class"], picture.convert("RGB").getpixel((1, 1))))
    assert papers == {("on-light", (255, 255, 255)), ("on-dark", (0x14, 0x17, 0x1B))}


@pytest.mark.parametrize("name", FIGURES)
def test_the_dark_picture_is_arranged_as_it_would_be_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "SCALE", 0.5)
    _, dark = pictures.rendered(FIGURES[name])
    with style(dark=True):
        figure = figure_of(FIGURES[name]())
        arrange(figure)
        alone = pictures.render(figure)
    assert dark.size == alone.size
    assert np.array_equal(np.asarray(dark), np.asarray(alone))


@pytest.mark.parametrize("name", ["closeup", "flips", "transfer"])
def test_a_figure_that_was_saved_before_gives_the_same_pictures(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pictures, "SCALE", 0.5)
    before = figure_of(FIGURES[name]())
    export(before, tmp_path / name, provenance={})
    for again, new in zip(pictures.rendered(FIGURES[name], before), pictures.rendered(FIGURES[name]), strict=True):
        assert np.array_equal(np.asarray(again), np.asarray(new))


def test_lines_are_stored_exactly_and_photographs_nearly() -> None:
    lines = np.full((300, 400, 3), 255, np.uint8)
    lines[::20] = 40
    photograph = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    for pixels, exact in ((lines, True), (photograph, False)):
        stored = pictures._webp(Image.fromarray(pixels))
        with Image.open(BytesIO(stored)) as found:
            again = np.asarray(found.convert("RGB"))
        assert np.array_equal(again, pixels) == exact
        assert len(stored) < pixels.nbytes / 2
