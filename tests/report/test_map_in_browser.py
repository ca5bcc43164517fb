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
from tests.report.opening import CARD, COUNTS, DRAWN, FRAME, PANELS, RANGES, Opened, point_at, to_screen
from tests.report.reading import coarse_report

RING = """async () => {
  const { doc } = await report.map;
  const source = doc.get_model_by_name("chosen");
  return Object.fromEntries(source.columns().map((name) => [name, [...source.get_array(name)]]));
}"""
CHOOSE = "async (index) => { const { choose } = await report.map; await choose(index); }"


@pytest.fixture(scope="module")
def embedding(everything: Saved) -> PixelEmbedding:
    return everything.get(PixelEmbedding)


@pytest.fixture(scope="module")
def wrong(points: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    return {panel: (points[f"pred_{panel}"] != points["label"]).to_numpy() for panel in PANELS}


def drawn(chosen: Any, wrong: dict[str, NDArray[np.bool_]]) -> list[list[int]]:
    """Returns how many points, stars of both perturbations and hollow stars of one alone each panel should have."""
    both = wrong["vat"] & wrong["tvat"]
    parts = [(~flags, flags & both, flags & ~both) for flags in wrong.values()]
    return [[int((chosen & part).sum()) for part in panel] for panel in parts]


def flipped_by(row: Any) -> str:
    names = [name for name, panel in (("VAT", "vat"), ("T-VAT", "tvat")) if row[f"pred_{panel}"] != row["label"]]
    return ("none", f"{' '.join(names)} alone", "both")[len(names)]


# Pointing.


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


# Filters.


def test_a_class_alone_and_again_all(tab: Any, points: pd.DataFrame, wrong: dict[str, NDArray[np.bool_]]) -> None:
    labels = points["label"].to_numpy()
    assert tab.evaluate(COUNTS) == drawn(labels >= 0, wrong)
    for label in mapped.LABELS:
        button = tab.locator(f"[data-class='{label}']")
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert tab.evaluate(COUNTS) == drawn(labels == label, wrong)
        shown = tab.locator("#map-status").text_content()
        assert shown.startswith("5,000 of 25,000 pixels shown")
        both = int((wrong["vat"] & wrong["tvat"] & (labels == label)).sum())
        assert shown.endswith(f" by T-VAT, {both} by both.")
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
    assert tab.evaluate(COUNTS) == drawn(labels >= 0, wrong)


def test_two_classes_add_up_and_show_all_ends_it(tab: Any) -> None:
    for label in mapped.LABELS[:2]:
        tab.locator(f"[data-class='{label}']").click()
    assert [sum(counts) for counts in tab.evaluate(COUNTS)] == [10_000] * 3
    tab.locator("[data-all]").click()
    assert [sum(counts) for counts in tab.evaluate(COUNTS)] == [25_000] * 3
    assert tab.locator("[data-class][aria-pressed='true']").count() == 0


def test_flipped_pixels_alone(tab: Any, wrong: dict[str, NDArray[np.bool_]]) -> None:
    for name, chosen in {"any": wrong["vat"] | wrong["tvat"], "vat": wrong["vat"], "tvat": wrong["tvat"]}.items():
        tab.locator(f"[data-flipped='{name}']").click()
        assert tab.evaluate(COUNTS) == drawn(chosen, wrong)
        assert tab.locator("[data-flipped][aria-pressed='true']").count() == 1
    tab.locator("[data-flipped='tvat']").click()
    assert [sum(counts) for counts in tab.evaluate(COUNTS)] == [25_000] * 3


def test_flipped_pixels_of_a_class(tab: Any, points: pd.DataFrame, wrong: dict[str, NDArray[np.bool_]]) -> None:
    tab.locator("[data-flipped='vat']").click()
    tab.locator("[data-class='4']").click()
    assert tab.evaluate(COUNTS) == drawn(wrong["vat"] & (points["label"] == 4).to_numpy(), wrong)


def test_filtered_pixels_are_neither_drawn_nor_pointed_at(tab: Any, points: pd.DataFrame) -> None:
    label = mapped.LABELS[1]
    hidden = np.flatnonzero((points["label"] != label).to_numpy())
    tab.locator(f"[data-class='{label}']").click()
    tab.evaluate(CHOOSE, int(hidden[0]))
    for index in hidden[::2500].tolist():
        point_at(tab, 0, points, index)
        chosen = int(tab.evaluate(CARD)["index"])
        assert chosen == hidden[0] or points["label"][chosen] == label
    tab.mouse.move(2, 2)
    tab.evaluate(DRAWN)
    picture = np.asarray(Image.open(BytesIO(tab.locator("#panel-clean").screenshot())).convert("RGB")).astype(int)
    near = [int((np.abs(picture - color).max(-1) < 12).sum()) for color in ((0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00))]
    assert near[0] > 300
    assert near[1] == 0


# Zoom.


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


# Keys.


def test_the_filters_are_reached_by_keyboard_and_have_names(tab: Any) -> None:
    # From the first stop on; where the browser would begin depends on the last click.
    tab.locator(".skip").focus()
    tab.keyboard.press("Shift+Tab")
    reached = []
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.append(
            tab.evaluate("""() => { const e = document.activeElement;
              const named = document.getElementById(e.getAttribute("aria-labelledby")) ?? e;
              return { id: e.id, name: e.getAttribute("aria-label") ?? named.textContent.trim(),
                       flipped: e.dataset.flipped, label: e.dataset.class,
                       line: getComputedStyle(e).outlineStyle, inside: e.shadowRoot !== null }; }""")
        )
    assert reached[0]["name"] == "Skip to the content"
    assert [stop for stop in reached if not stop["name"] or stop["line"] == "none"] == []
    assert [int(stop["label"]) for stop in reached if stop.get("label")] == list(mapped.LABELS)
    assert [stop["flipped"] for stop in reached if stop.get("flipped")] == ["any", "vat", "tvat"]
    assert [stop["id"] for stop in reached if stop["id"] in {"theme", "map-panels"}] == ["theme", "map-panels"]
    assert not any(stop["inside"] for stop in reached)  # no stop without a name inside a plot


def test_a_filter_works_by_keyboard(tab: Any) -> None:
    tab.locator("[data-class='1']").focus()
    tab.keyboard.press("Space")
    assert [sum(counts) for counts in tab.evaluate(COUNTS)] == [5000] * 3


def test_arrows_step_through_the_flipped_pixels(tab: Any, embedding: PixelEmbedding) -> None:
    wrong = embedding.pixels[embedding.flipped("vat") | embedding.flipped("tvat")]
    tab.evaluate("document.getElementById('card').dataset.index = ''")
    tab.locator("#map-panels").focus()
    names = embedding.classes
    for number, row in enumerate(wrong.head(6).itertuples(), 1):
        tab.keyboard.press("ArrowRight")
        card = tab.evaluate(CARD)
        assert (card["image"], card["row"], card["col"]) == (row.image, str(row.row), str(row.col))
        assert (card["pred_vat"], card["pred_tvat"]) == (names[row.pred_vat], names[row.pred_tvat])
        assert card["flipped_by"] == flipped_by(row._asdict())
        assert (
            tab.locator("#map-spoken")
            .text_content()
            .startswith(f"flipped pixel {number} of {len(wrong)}: image {row.image}, row {row.row}, column {row.col}, ")
        )
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate(CARD)["row"] == str(wrong["row"].iloc[4])


def test_after_a_click_on_the_map_the_arrows_step(tab: Any) -> None:
    tab.locator("#map-panels").scroll_into_view_if_needed()
    tab.locator("#panel-vat").click()
    assert tab.evaluate("document.activeElement.id") == "map-panels"
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#map-spoken").text_content().startswith("flipped pixel ")


def test_keys_zoom_and_reset(tab: Any) -> None:
    before = tab.evaluate(RANGES, "map")
    tab.locator("#map-panels").focus()
    tab.keyboard.press("+")
    zoomed = tab.evaluate(RANGES, "map")
    assert zoomed[0][1] - zoomed[0][0] == pytest.approx((before[0][1] - before[0][0]) / 2)
    tab.keyboard.press("0")
    assert tab.evaluate(RANGES, "map") == before
