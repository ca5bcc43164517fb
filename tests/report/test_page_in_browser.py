"""The page in a browser: silent, closed to what is not its own, of one look, at every width, by keyboard and touch."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from psmt_viz.results import Flips, Saved, Training
from tests.figures import synthetic
from tests.report import mapped
from tests.report.opening import CARD, INTERACTIVE, SIZE, Opened
from tests.report.reading import coarse_report

PAPER = "() => getComputedStyle(document.body).backgroundColor"
AXIS = "async () => { const { views } = await report.curves; return views[0].model.below[0].major_label_text_color; }"
SHOWN = """() => [...document.querySelectorAll(".figure img")]
  .filter((image) => image.checkVisibility()).map((image) => image.className)"""
READY = "() => report.curves.then(() => true)"
# Mean brightness of what is drawn below the first chart: labels of its axis.
BRIGHT = """async () => {
  const { views: [view] } = await report.curves;
  const { canvas } = view.canvas_view.primary;
  const scale = canvas.width / view.bbox.width;
  const top = Math.ceil((view.frame.bbox.bottom + 8) * scale);
  const { data } = canvas.getContext("2d").getImageData(0, top, canvas.width, canvas.height - top);
  let [sum, count] = [0, 0];
  for (let place = 0; place < data.length; place += 4) {
    if (data[place + 3] > 200) [sum, count] = [sum + data[place], count + 1];
  }
  return sum / count;
}"""
ATTACK = """() => {
  document.body.insertAdjacentHTML("beforeend", '<img src="data:,x" onerror="window.ran = true">');
  document.body.append(Object.assign(document.createElement("script"), { text: "window.ran = true" }));
  return fetch("http://127.0.0.1:9/").then(() => "sent", () => "stopped");
}"""
FOREIGN = "(images) => images.filter((image) => !image.src.startsWith('data:')).length"
LONG = """(all) => all.filter(
  (p) => p.getBoundingClientRect().width > 80 * parseFloat(getComputedStyle(p).fontSize)).length"""
WIDTH = "(element) => element.getBoundingClientRect().width"


# Nothing in, nothing out.


def test_the_page_is_silent_and_asks_for_nothing(opened: Opened, page: Path) -> None:
    assert opened.complaints == []
    assert opened.requests == [page.as_uri()]


def test_the_policy_stops_requests_and_foreign_scripts(browser: Any, page: Path) -> None:
    with Opened(browser, page) as found:
        assert found.page.evaluate(ATTACK) == "stopped"
        found.page.wait_for_timeout(200)
        assert found.page.evaluate("typeof window.ran") == "undefined"
        assert found.requests == [page.as_uri()]
        assert len([text for text in found.complaints if "Content Security Policy" in text]) >= 3


def test_names_from_data_run_nothing(browser: Any, tmp_path: Path) -> None:
    names = (
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(2)</script>",
        "\"&'",
        "$x$",
        r"\(x\)",
        "$$y$$",
        "z",
    )
    run = synthetic.curves(name=names[1])
    saved = Saved.of(
        mapped.embedding(40, classes=names, ids=names),
        Training(runs=(run, replace(run, name=names[5]))),
        synthetic.evaluation(names, subject={"dataset": names[0]}),
    )
    with Opened(browser, coarse_report(saved, tmp_path / "index.html")) as found:
        dialogs: list[Any] = []
        found.page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
        found.page.locator("#map-panels").focus()
        for _ in range(12):
            found.page.keyboard.press("ArrowRight")
            card = found.page.evaluate(CARD)
            assert card["image"] in names
            assert card["pred_vat"] in names
        buttons = found.page.locator("[data-class]").all_text_contents()
        assert [text.strip() for text in buttons] == [names[label] for label in mapped.LABELS]
        assert found.page.locator("main img").evaluate_all(FOREIGN) == 0
        assert (dialogs, found.complaints) == ([], [])
        assert len(found.requests) == 1


# Look.


def test_the_theme_changes_page_figures_and_plots_and_is_kept(browser: Any, page: Path) -> None:
    with Opened(browser, page, color_scheme="light") as found:
        tab = found.page
        light = [tab.evaluate(what) for what in (PAPER, AXIS)]
        assert set(tab.evaluate(SHOWN)) == {"on-light"}
        assert tab.locator("#theme").get_attribute("aria-label") == "Use dark colours"
        tab.locator("#theme").click()
        dark = [tab.evaluate(what) for what in (PAPER, AXIS)]
        assert dark[0] == "rgb(20, 23, 27)"
        assert light[0] != dark[0]
        assert light[1] != dark[1]
        assert set(tab.evaluate(SHOWN)) == {"on-dark"}
        tab.reload()
        found.until(INTERACTIVE)
        found.until(READY)
        assert [tab.evaluate(what) for what in (PAPER, AXIS)] == dark
        assert found.complaints == []


def test_the_systems_choice_is_followed_without_storage(browser: Any, page: Path, tmp_path: Path) -> None:
    with Opened(browser, page, color_scheme="dark") as found:
        found.until(READY)
        assert found.page.evaluate(PAPER) == "rgb(20, 23, 27)"
        assert set(found.page.evaluate(SHOWN)) == {"on-dark"}
        found.page.emulate_media(color_scheme="light")
        found.settle()
        assert found.page.evaluate(PAPER) == "rgb(255, 255, 255)"
        assert set(found.page.evaluate(SHOWN)) == {"on-light"}


def test_a_dark_page_is_printed_on_white(browser: Any, page: Path) -> None:
    with Opened(browser, page, color_scheme="dark") as found:
        found.until(READY)
        found.settle()
        bright, label = found.page.evaluate(BRIGHT), found.page.evaluate(AXIS)
        found.page.emulate_media(media="print")
        # In one go: the browser prints before the next frame.
        printed = found.page.evaluate(f"() => {{ dispatchEvent(new Event('beforeprint')); return ({BRIGHT})(); }}")
        assert printed < bright - 80
        assert found.page.evaluate(PAPER) == "rgb(255, 255, 255)"
        assert set(found.page.evaluate(SHOWN)) == {"on-light"}
        found.page.emulate_media(media="screen")
        found.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert found.page.evaluate(PAPER) == "rgb(20, 23, 27)"
        assert found.page.evaluate(AXIS) == label


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_nothing_is_wider_than_the_window(opened: Opened, tab: Any, width: int) -> None:
    tab.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    tab.set_viewport_size({"width": width, "height": 800})
    try:
        opened.settle()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        boxes = tab.locator(".panel").evaluate_all("(all) => all.map((e) => e.getBoundingClientRect().toJSON())")
        lefts, tops = ({round(box[side]) for box in boxes} for side in ("left", "top"))
        assert (len(lefts), len(tops)) == {360: (1, 3), 800: (2, 2), 1600: (3, 1)}[width]
        if width > 700:
            figures = tab.locator(".figure .scroll").evaluate_all(
                "(all) => all.map((e) => e.scrollWidth - e.clientWidth)"
            )
            assert max(figures) <= 0
        assert tab.locator("main p").evaluate_all(LONG) == 0
    finally:
        tab.set_viewport_size(SIZE)


def test_a_figure_is_enlarged(tab: Any) -> None:
    tab.locator("#figure-flips .enlarge").click()
    assert tab.evaluate("document.getElementById('viewer').open")
    wide = tab.locator(".viewer-body img.on-light").evaluate(WIDTH)
    assert wide > 1.3 * tab.locator("#figure-flips img.on-light").evaluate(WIDTH)
    tab.keyboard.press("Escape")
    assert not tab.evaluate("document.getElementById('viewer').open")


def test_a_table_is_searched(tab: Any, everything: Saved) -> None:
    tab.evaluate("document.querySelector('#numbers > details').open = true")
    table = everything.get(Flips).flips
    expected = int(((table["kind"] == "tvat-official") & (table["judge"] == "ensemble")).sum())
    shown = tab.locator("#numbers .table").filter(has=tab.locator("h3", has_text="flips.csv"))
    search = shown.locator(".search")
    search.locator("input").fill("ensemble TVAT-official")
    assert search.locator("output").text_content() == f"{expected} rows"
    assert shown.locator("tbody tr:visible").count() == expected
    search.locator("input").fill("")
    assert search.locator("output").text_content() == f"{len(table)} rows"


def test_a_link_unfolds_its_section(tab: Any) -> None:
    tab.evaluate("document.querySelector('#provenance > details').open = false")
    tab.locator(".contents a[href='#provenance']").click()
    tab.wait_for_timeout(100)
    assert tab.evaluate("document.querySelector('#provenance > details').open")


def test_headings_are_in_order_and_images_described(tab: Any) -> None:
    levels = tab.locator("h1, h2, h3, h4").evaluate_all("(all) => all.map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert tab.locator("img:not([alt]), img[alt='']").count() == 0
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


# Touch and time.


def test_on_a_touch_screen_a_drag_turns_the_page_until_asked_otherwise(browser: Any, page: Path) -> None:
    with Opened(browser, page, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True) as found:
        touch = """async () => { const { views } = await report.map;
          return getComputedStyle(views[0].canvas_view.events_el).touchAction; }"""
        assert found.page.evaluate(touch) == "pan-x pan-y"
        found.page.locator("#map [data-drag]").click()
        assert found.page.evaluate(touch) == "none"
        found.page.locator("#panel-vat").scroll_into_view_if_needed()
        box = found.page.locator("#panel-vat").bounding_box()
        found.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        found.page.wait_for_timeout(300)
        assert found.page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_map_answers_soon(opened: Opened) -> None:
    """Seconds from the click on the file; 2 are wanted, and machines that run tests are busy."""
    assert opened.page.evaluate("performance.getEntriesByName('interactive')[0].startTime") < 10_000
