"""The page in a real browser, and what tests ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

PANELS = ("clean", "vat", "tvat")
"""Of the page of everything."""
SIZE = {"width": 1600, "height": 1000}

# Two frames: the second begins when the first has been drawn. Bokeh draws what it was asked for when it finds the time;
# its views are ready once it has.
DRAWN = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  await frame();
  const { map, curves } = typeof report === "undefined" ? {} : report;
  const plots = await Promise.all([map, curves].filter(Boolean));
  await Promise.all(plots.flatMap(({ views }) => views.map((view) => view.ready)));
  await frame();
}"""
INTERACTIVE = "() => performance.getEntriesByName('interactive').length"
# Where the frame of a panel lies on the screen, and which data lie in it.
FRAME = """async (place) => {
  const { views } = await report.map;
  const { frame, el, model } = views[place];
  const box = el.getBoundingClientRect();
  return {
    left: box.left + frame.bbox.left, top: box.top + frame.bbox.top,
    width: frame.bbox.width, height: frame.bbox.height,
    x: [model.x_range.start, model.x_range.end], y: [model.y_range.start, model.y_range.end],
  };
}"""
RANGES = """async (name) => {
  const { views } = await report[name];
  return views.map(({ model: { x_range, y_range } }) => [x_range.start, x_range.end, y_range.start, y_range.end]);
}"""
# What bokeh draws: points, full stars and hollow stars of each panel.
COUNTS = """async () => {
  const { views } = await report.map;
  const drawn = (view, renderer) => [...view.renderer_views.get(renderer).all_indices].length;
  return views.map((view) => view.model.renderers.slice(0, 3).map((renderer) => drawn(view, renderer)));
}"""
CARD = """() => {
  const card = document.getElementById("card");
  const facts = [...card.querySelectorAll("[data-fact]")].map((element) => [element.dataset.fact, element.textContent]);
  return { ...Object.fromEntries(facts), index: card.dataset.index };
}"""
CHOOSE = "async (index) => { const { choose } = await report.map; await choose(index); }"
# Nothing filtered, zoomed or scrolled.
RESTORE = """() => {
  const filtered = document.querySelector("[data-class][aria-pressed='true'], [data-flipped][aria-pressed='true']");
  if (filtered) document.querySelector("[data-all]").click();
  for (const button of document.querySelectorAll("[data-reset]")) button.click();
  scrollTo({ top: 0, behavior: "instant" });
}"""


class Opened:
    """A page, with what it wrote to the console and asked the network for; closed at the end of a `with` block."""

    def __init__(self, browser: Any, path: Path, **settings: Any) -> None:
        self.context = browser.new_context(**{"viewport": SIZE} | settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.until(INTERACTIVE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()

    def until(self, condition: str, *facts: Any) -> None:
        """Waits; playwright's own way would evaluate text, which the page's policy forbids."""
        for _ in range(400):
            if self.page.evaluate(condition, *facts):
                return
            self.page.wait_for_timeout(50)
        raise TimeoutError(condition, self.complaints)

    def settle(self) -> None:
        self.page.evaluate(DRAWN)


def to_screen(tab: Any, place: int, points: Any) -> NDArray[np.float64]:
    """Returns where each point of a panel lies on the screen, from the frame's ranges alone."""
    frame, panel = tab.evaluate(FRAME, place), PANELS[place]
    # Bokeh was given single precision.
    x, y = (points[f"{axis}_{panel}"].to_numpy(np.float32).astype(float) for axis in "xy")
    right = (x - frame["x"][0]) / (frame["x"][1] - frame["x"][0])
    up = (y - frame["y"][0]) / (frame["y"][1] - frame["y"][0])
    return np.stack([frame["left"] + right * frame["width"], frame["top"] + (1 - up) * frame["height"]], axis=1)


def point_at(
    tab: Any, place: int, points: Any, index: int, *, away: NDArray[np.float64] | float = 0.0
) -> NDArray[np.float64]:
    """Puts the pointer on a point, or some pixels away; returns all points' distances from it on the screen."""
    tab.locator("#map-panels").evaluate("(element) => element.scrollIntoView({ block: 'center', behavior: 'instant' })")
    screen = to_screen(tab, place, points)
    pointer = screen[index] + away
    tab.mouse.move(*pointer)
    tab.evaluate(DRAWN)
    return np.hypot(*(screen - pointer).T)


def flipped_by(row: Any, names: dict[str, str] | None = None) -> str:
    """Returns in words what flips a pixel of a map of two perturbations."""
    names = names or {"vat": "VAT", "tvat": "T-VAT"}
    by = [name for panel, name in names.items() if row[f"pred_{panel}"] != row["label"]]
    return ("none", f"{' '.join(by)} alone", "both")[len(by)]
