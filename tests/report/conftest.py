"""One page of everything for the tests to read, and a browser to open it in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from psmt_viz.report.tsne_map import map_order
from psmt_viz.results import ROLES, PixelEmbedding, Saved, ScoreTable, Training
from tests.figures import synthetic
from tests.report import mapped
from tests.report.opening import RESTORE, Opened
from tests.report.reading import Page, coarse_report

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
_KINDS = ("vat", "tvat", "tvat-official", "random")


@pytest.fixture(scope="session")
def everything() -> Saved:
    """A result of every sort: 25,000 pixels in 128 images, and two experiments' worth of training under three seeds."""
    scores = synthetic.evaluation()
    runs = tuple(replace(synthetic.curves(seed=seed), images_per_step=16) for seed in range(3))
    return Saved.of(
        scores,
        Training(runs=runs),
        ScoreTable.of([("scenes 1_8", scores)]),
        synthetic.cams(),
        mapped.embedding(),
        synthetic.reliability(),
        synthetic.flips(_KINDS, judges=ROLES[:2], warnings=synthetic.WARNINGS),
        synthetic.closeup(_KINDS),
        manifest={
            "run": {"run": "scenes 1_8", "dataset": "scenes", "split": "1_8", "weights": "last"},
            "versions": {"psmt-viz": "0.1.0", "python": "3.11.7"},
            "inputs": {"config.json": "ab" * 32},
            "parameters": {"n_pixels": 25_000, "sweep": [0.5, 2.0]},
        },
    )


@pytest.fixture(scope="session")
def page(everything: Saved, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of everything."""
    return coarse_report(everything, tmp_path_factory.mktemp("page") / "index.html")


@pytest.fixture(scope="session")
def html(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def read(html: str) -> Page:
    """The page of everything, parsed."""
    return Page(html)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser without a window. Where it is missing tests are skipped, but not in continuous integration."""
    absent: Callable[[str], Any] = pytest.fail if os.environ.get("CI") else pytest.skip
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        absent(f"none of {', '.join(names)} is installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def opened(browser: Any, page: Path) -> Iterator[Opened]:
    """The page of everything, opened once for all tests."""
    with Opened(browser, page) as found:
        yield found


@pytest.fixture
def tab(opened: Opened) -> Iterator[Any]:
    """The opened page; afterwards it is as it was."""
    yield opened.page
    opened.page.mouse.move(2, 2)
    opened.page.evaluate(RESTORE)
    opened.settle()


@pytest.fixture(scope="session")
def points(everything: Saved) -> pd.DataFrame:
    """The pixels of the map in the order in which they are drawn."""
    embedding = everything.get(PixelEmbedding)
    return embedding.pixels.iloc[map_order(embedding)].reset_index(drop=True)
