"""Figures inside the page."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from psmt_viz.report import write_report
from psmt_viz.results import Saved
from tests.report.reading import Page


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
