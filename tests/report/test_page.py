"""The page as a whole: which sections there are for which results, its size, and that it is always the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bokeh.models import Range1d

from psmt_viz.errors import UserError
from psmt_viz.report import write_report
from psmt_viz.results import ROLES, Saved, Training
from tests.figures import synthetic
from tests.report import mapped
from tests.report.reading import Page, coarse_report

ORDER = [
    "summary",
    "tsne",
    "gradcam",
    "perturbations",
    "curves",
    "evaluation",
    "reliability",
    "table1",
    "numbers",
    "provenance",
]


def test_everything_in_order(read: Page) -> None:
    assert read.sections() == ORDER


SUBSETS: dict[str, list[str]] = {
    "evaluate": ["summary", "evaluation", "provenance"],
    "curves": ["curves"],
    "table": ["table1"],
    "reliability": ["reliability", "numbers", "provenance"],
    "gradcam": ["gradcam", "numbers", "provenance"],
    "tsne": ["summary", "tsne", "provenance"],
    "perturb": ["summary", "perturbations", "numbers", "provenance"],
    "closeup": ["perturbations", "provenance"],
}


@pytest.mark.parametrize("name", SUBSETS)
def test_one_result_alone_has_its_sections_and_no_other(name: str, everything: Saved, tmp_path: Path) -> None:
    page = Page(coarse_report(Saved.of(everything.results[name]), tmp_path / "index.html").read_text())
    assert page.sections() == SUBSETS[name]
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == ["#content", *(f"#{section}" for section in SUBSETS[name])]
    bokeh = any("Bokeh" in text and len(text) > 500_000 for text in page.programs)
    assert bokeh == (name in {"tsne", "curves"})


@pytest.mark.parametrize("saved", [Saved(), Saved.of(Training(runs=()))])
def test_nothing_to_show(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected results to show, got none; give a folder"):
        write_report(saved, tmp_path / "index.html")
    assert not list(tmp_path.iterdir())


def test_equal_results_give_an_equal_file(everything: Saved, tmp_path: Path) -> None:
    small = mapped.embedding(200)
    few = [everything.results[name] for name in ("curves", "closeup")]
    first = coarse_report(Saved.of(small, *few), tmp_path / "first.html").read_bytes()
    for _ in range(7):
        Range1d()  # bokeh numbers every model of a process
    assert coarse_report(Saved.of(small, *few), tmp_path / "second.html").read_bytes() == first
    moved = replace(small, pixels=small.pixels.assign(x_clean=0.0))
    assert coarse_report(Saved.of(moved, *few), tmp_path / "third.html").read_bytes() != first


def test_a_page_of_everything_is_small(everything: Saved, tmp_path: Path) -> None:
    """At full resolution: 25,000 points, 128 images and every figure below 8 MB."""
    large = Saved.of(*everything.results.values(), synthetic.flips(judges=ROLES), synthetic.closeup())
    path = write_report(large, tmp_path / "index.html")
    assert path == tmp_path / "index.html"
    assert 2_500_000 < path.stat().st_size < 8_000_000
