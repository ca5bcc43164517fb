"""The map's filters and keys in a browser."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from psmt_viz.results import PixelEmbedding, Saved
from tests.report import mapped
from tests.report.opening import CARD, CHOOSE, COUNTS, DRAWN, PANELS, RANGES, flipped_by, point_at


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
