"""The charts of training in a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psmt_viz.results import Saved, Training
from tests.figures import synthetic
from tests.report import mapped
from tests.report.opening import DRAWN, RANGES, Opened
from tests.report.reading import coarse_report

# Where the first line of the first chart begins and ends, as shares of the frame's width.
LINE = """async () => {
  const { views: [view] } = await report.curves;
  const line = view.model.renderers.find((renderer) => renderer.glyph.type === "Line");
  const { sx } = view.renderer_views.get(line).glyph;
  return [sx.at(0), sx.at(-1)].map((x) => (x - view.frame.bbox.left) / view.frame.bbox.width);
}"""


def ends(tab: Any) -> dict[str, list[float]]:
    names = tab.evaluate("report.data('curves-facts').map((chart) => chart.id)")
    return dict(zip(names, tab.evaluate(RANGES, "curves"), strict=True))


def test_curves_zoom_together_and_reset(opened: Opened, tab: Any) -> None:
    before = ends(tab)
    tab.locator("#chart-loss").scroll_into_view_if_needed()
    tab.locator("#chart-loss").hover()
    tab.mouse.wheel(0, -300)
    opened.until("async () => { const { views } = await report.curves; const { start, end } = views[1].model.x_range;"
                 f" return end - start < {0.95 * (before['loss'][1] - before['loss'][0])}; }}")  # fmt: skip
    after = ends(tab)
    assert after["miou"][:2] == after["loss"][:2]
    assert after["ramp"] == before["ramp"]
    assert after["miou"][2:] == before["miou"][2:]
    tab.locator("#curves [data-reset]").click()
    assert ends(tab) == before


def test_the_legend_reads_the_curve_at_the_pointer(tab: Any, everything: Saved) -> None:
    chart = tab.locator("[data-chart='miou']")
    chart.scroll_into_view_if_needed()
    scores = 100 * np.array([run.metrics["miou_student"] for run in everything.get(Training).runs])
    for epoch in (5, 17):
        x = tab.evaluate("""async (epoch) => { const { views } = await report.curves; const view = views[0];
          return view.el.getBoundingClientRect().left + view.frame.x_scale.compute(epoch); }""", epoch)  # fmt: skip
        box = tab.locator("#chart-miou").bounding_box()
        tab.mouse.move(x + 1, box["y"] + box["height"] / 2)
        tab.evaluate(DRAWN)
        assert chart.locator(".at").text_content() == f"epoch {epoch}"
        own = scores[:, epoch - 1]
        expected = f"{own.mean():.2f} ({own.min():.2f} to {own.max():.2f}) %"
        assert chart.locator("[data-value]").last.text_content() == expected
    tab.mouse.move(2, 2)
    assert chart.locator(".at").text_content() == "epoch 30"


def test_small_shares_do_not_read_as_none(browser: Any, tmp_path: Path) -> None:
    run = synthetic.curves()
    few = replace(run, metrics=run.metrics.assign(teacher_disagreement=0.00004))
    saved = Saved.of(Training(runs=(few,)), mapped.embedding(20))
    with Opened(browser, coarse_report(saved, tmp_path / "index.html")) as found:
        values = found.page.locator("[data-chart='disagreement'] [data-value]")
        assert values.first.text_content() == "0.004 %"


def test_the_axis_counts_epochs_or_images(tab: Any) -> None:
    assert ends(tab)["miou"][:2] == [1, 30]
    tab.locator("[data-over='images']").click()
    try:
        found = ends(tab)
        assert found["miou"][:2] == [640, 19_200]
        assert found["ramp"][:2] == [0, 1200]
        first, last = tab.evaluate(LINE)
        assert (first, last) == pytest.approx((0, 1), abs=0.01)
        assert tab.locator("[data-chart='loss'] .at").text_content() == "images seen 19,200"
        tab.locator("#curves [data-zoom='0.5']").click()
        tab.locator("#curves [data-reset]").click()
        assert ends(tab)["loss"][:2] == [640, 19_200]
    finally:
        tab.locator("[data-over='epoch']").click()
    assert ends(tab)["miou"][:2] == [1, 30]


def test_arrows_step_along_a_chart(tab: Any) -> None:
    tab.locator("#chart-loss").focus()
    at = tab.locator("[data-chart='loss'] .at")
    for expected in ("epoch 1", "epoch 2"):
        tab.keyboard.press("ArrowRight")
        assert at.text_content() == expected
    tab.keyboard.press("ArrowLeft")
    assert at.text_content() == "epoch 1"
