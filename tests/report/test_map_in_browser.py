"""The map in a browser: pointing, filters, zoom and keys."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from psmt_viz.results import PixelEmbedding, Saved
from tests.report import mapped
from tests.report.opening import CARD, CHOOSE, DRAWN, FRAME, PANELS, RANGES, Opened, flipped_by, point_at, to_screen
from tests.report.reading import coarse_report

RING = """async () => {
  const { doc } = await report.map;
  const source = doc.get_model_by_name("chosen");
  return Object.fromEntries(source.columns().map((name) => [name, [...source.get_array(name)]]));
}"""


@pytest.fixture(scope="module")
def embedding(everything: Saved) -> PixelEmbedding:
    return everything.get(PixelEmbedding)


@pytest.mark.parametrize("place", range(3))
def test_a_point_under_the_pointer_fills_the_card(
    tab: Any, points: pd.DataFrame, embedding: PixelEmbedding, place: int
) -> None:
    names = embedding.classes
    seen = set()
    for index in np.random.default_rng(place).choice(len(points), 20, replace=False).tolist():
        distances = point_at(tab, place, points, index)
        card = tab.evaluate(CARD)
        chosen = int(card["index"])
        # Nearest of all, up to the rounding of the pointer's own place.
        assert distances[chosen] <= 0.1
        row = points.iloc[chosen]
        assert (card["image"], card["row"], card["col"]) == (row["image"], str(row["row"]), str(row["col"]))
        assert card["label"] == names[row["label"]]
        for panel in PANELS:
            assert card[f"pred_{panel}"] == names[row[f"pred_{panel}"]]
        assert card["flipped_by"] == flipped_by(row)
        seen.add(chosen)
    assert len(seen) == 20


def test_between_points_the_nearest_is_meant(tab: Any, points: pd.DataFrame) -> None:
    random = np.random.default_rng(9)
    for index in random.choice(len(points), 20, replace=False).tolist():
        distances = point_at(tab, 0, points, index, away=random.uniform(-4, 4, 2))
        assert distances[int(tab.evaluate(CARD)["index"])] <= distances.min() + 0.1


def test_the_pixel_is_ringed_in_all_panels(tab: Any, points: pd.DataFrame) -> None:
    point_at(tab, 1, points, 777)
    row = points.iloc[int(tab.evaluate(CARD)["index"])]
    ring = tab.evaluate(RING)
    assert len(ring) == 6
    for name, values in ring.items():
        assert values == pytest.approx([row[name]], rel=1e-6)


def test_far_from_every_point_the_card_stays(tab: Any, points: pd.DataFrame) -> None:
    point_at(tab, 0, points, 5)
    before, frame = tab.evaluate(CARD), tab.evaluate(FRAME, 0)
    corner = (frame["left"] + 2, frame["top"] + 2)
    assert np.hypot(*(to_screen(tab, 0, points) - corner).T).min() > 10
    tab.mouse.move(*corner)
    tab.evaluate(DRAWN)
    assert tab.evaluate(CARD) == before


@pytest.mark.parametrize("factor", [1, 2])
def test_the_crop_is_the_image_around_the_pixel(
    tab: Any, points: pd.DataFrame, embedding: PixelEmbedding, factor: int
) -> None:
    """For pictures as large as their images and for smaller ones; beside the image there is nothing."""
    jpegs = embedding.images.set_index("image")["jpeg"]
    pictures = {name: np.asarray(Image.open(BytesIO(jpeg)).convert("RGB")).astype(int) for name, jpeg in jpegs.items()}
    of_size = [i for i, name in enumerate(points["image"][:4000]) if mapped.SIZE[1] == factor * pictures[name].shape[1]]
    in_corner = next(i for i in of_size if points["row"][i] < 8 and points["col"][i] < 8)
    side = 48 * factor
    outside = 0
    for index in [in_corner, *of_size[::400]]:
        tab.evaluate(CHOOSE, index)
        row, col, picture = points["row"][index], points["col"][index], pictures[points["image"][index]]
        assert tab.locator("#card-size").text_content() == f"{side} × {side} pixels"
        crop = canvas(tab, "card-crop")
        scale = crop.shape[0] / side
        for down, right in np.ndindex(side // 3, side // 3):
            y, x = 3 * down - side // 2 + 1, 3 * right - side // 2 + 1
            if 9 < np.hypot(y, x) * scale < 24:
                continue  # under the ring
            found = crop[int((side / 2 + y) * scale), int((side / 2 + x) * scale)]
            if 0 <= row + y < mapped.SIZE[0] and 0 <= col + x < mapped.SIZE[1]:
                assert np.abs(found[:3] - picture[(row + y) // factor, (col + x) // factor]).max() <= 14
            else:
                assert found[3] == 0
                outside += 1
    assert outside > 100


def test_the_pixel_is_ringed_in_the_crop(tab: Any) -> None:
    tab.evaluate(CHOOSE, 1234)
    crop = canvas(tab, "card-crop")
    red = np.argwhere(np.abs(crop[..., :3] - [0xE4, 0x00, 0x2B]).max(-1) < 12)
    near = red[np.abs(red - crop.shape[0] / 2).max(1) < 24]
    assert len(near) > 100
    assert near.mean(0) == pytest.approx([crop.shape[0] / 2] * 2, abs=1.5)


def canvas(tab: Any, id: str) -> NDArray[np.int64]:
    """Returns the RGBA values of a canvas."""
    url = tab.evaluate("(id) => document.getElementById(id).toDataURL()", id)
    return np.asarray(Image.open(BytesIO(b64decode(url.split(",")[1])))).astype(int)


def test_the_wheel_zooms_all_panels_about_the_pointer(opened: Opened, tab: Any) -> None:
    tab.locator("#map-panels").scroll_into_view_if_needed()
    before = tab.evaluate(RANGES, "map")
    frame = tab.evaluate(FRAME, 2)
    tab.mouse.move(frame["left"] + frame["width"] / 4, frame["top"] + frame["height"] / 2)
    scrolled = tab.evaluate("scrollY")
    tab.mouse.wheel(0, -300)
    opened.until("async () => { const { views } = await report.map; const { start, end } = views[0].model.x_range;"
                 f" return end - start < {0.95 * (before[0][1] - before[0][0])}; }}")  # fmt: skip
    after = tab.evaluate(RANGES, "map")
    assert after[0] == after[1] == after[2] != before[0]
    fixed = [low + 0.25 * (high - low) for low, high, *_ in (before[0], after[0])]
    assert fixed[1] == pytest.approx(fixed[0], abs=0.02 * (before[0][1] - before[0][0]))
    assert tab.evaluate("scrollY") == scrolled
    tab.locator("#map [data-reset]").click()
    assert tab.evaluate(RANGES, "map") == before


def test_a_drag_moves_all_panels(opened: Opened, tab: Any) -> None:
    tab.locator("#map-panels").scroll_into_view_if_needed()
    before, frame = tab.evaluate(RANGES, "map"), tab.evaluate(FRAME, 0)
    start = frame["left"] + frame["width"] / 2, frame["top"] + frame["height"] / 2
    tab.mouse.move(*start)
    tab.mouse.down()
    tab.mouse.move(start[0] + 60, start[1], steps=4)
    tab.mouse.up()
    after = tab.evaluate(RANGES, "map")
    assert after[0] == after[1] == after[2]
    moved = 60 / frame["width"] * (before[0][1] - before[0][0])
    assert after[0][0] == pytest.approx(before[0][0] - moved, rel=0.05)
    assert after[0][2:] == pytest.approx(before[0][2:])


def test_pointing_is_right_after_a_zoom(tab: Any, points: pd.DataFrame) -> None:
    tab.locator("#map [data-zoom='0.5']").click()
    tab.evaluate(DRAWN)
    screen, frame = to_screen(tab, 1, points), tab.evaluate(FRAME, 1)
    inside = (np.abs(screen - [frame["left"] + frame["width"] / 2, frame["top"] + frame["height"] / 2]) < 150).all(1)
    for index in np.flatnonzero(inside)[::700].tolist():
        distances = point_at(tab, 1, points, index)
        assert distances[int(tab.evaluate(CARD)["index"])] <= 0.1


def test_maps_of_their_own_zoom_apart(browser: Any, tmp_path: Path) -> None:
    saved = Saved.of(mapped.embedding(40, layout="separate"))
    with Opened(browser, coarse_report(saved, tmp_path / "index.html")) as found:
        before = found.page.evaluate(RANGES, "map")
        found.page.locator("#panel-vat").hover()
        found.page.mouse.wheel(0, -300)
        found.page.wait_for_timeout(400)
        after = found.page.evaluate(RANGES, "map")
        assert after[1] != before[1]
        assert (after[0], after[2]) == (before[0], before[2])


def test_a_wheel_that_turns_the_page_is_not_caught_by_a_plot(opened: Opened, tab: Any) -> None:
    before = tab.evaluate(RANGES, "map")
    tab.evaluate("document.getElementById('panel-clean').scrollIntoView({ block: 'start', behavior: 'instant' })")
    tab.evaluate("scrollBy({ top: -200, behavior: 'instant' })")
    frame = tab.evaluate(FRAME, 0)
    tab.mouse.move(frame["left"] + frame["width"] / 2, 30)  # above the plot
    for _ in range(5):
        tab.mouse.wheel(0, 60)
        tab.wait_for_timeout(60)
    scrolled = tab.evaluate("scrollY")
    assert tab.evaluate(FRAME, 0)["top"] < 30  # the plot is under the pointer now
    tab.mouse.wheel(0, 60)
    tab.wait_for_timeout(150)
    assert tab.evaluate("scrollY") > scrolled
    assert tab.evaluate(RANGES, "map") == before
