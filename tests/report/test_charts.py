"""The lines of the charts of training, decoded from the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from psmt_viz.results import Saved, Training
from tests.figures import synthetic
from tests.report.reading import Page, coarse_report, columns


def test_curves_are_the_mean_and_range_over_seeds(read: Page, everything: Saved) -> None:
    plots = read.json("curves-plots")
    names = [chart["id"] for chart in read.json("curves-facts")]
    assert names == ["miou", "loss", "confident", "distance", "disagreement", "rate", "weight", "ramp"]
    tables = [run.metrics for run in everything.get(Training).runs]
    for number, role in enumerate(("ensemble", "teacher2", "teacher1", "student")):
        found = columns(plots, f"miou-{number}")
        scores = 100 * np.array([table[f"miou_{role}"] for table in tables])
        np.testing.assert_allclose(found["mean"], scores.mean(0), rtol=1e-12)
        np.testing.assert_array_equal(found["min"], scores.min(0))
        np.testing.assert_array_equal(found["max"], scores.max(0))
        np.testing.assert_array_equal(found["epoch"], tables[0]["epoch"])
        np.testing.assert_array_equal(found["images"], 40 * 16 * tables[0]["epoch"])


def test_the_ramp_up_has_both_published_forms(read: Page) -> None:
    plots = read.json("curves-plots")
    used, other = (columns(plots, f"ramp-{number}") for number in (0, 1))
    t = np.minimum(used["iteration"] / 480, 1)
    np.testing.assert_allclose(used["mean"], 1.5 * np.exp(-5 * (1 - t) ** 2), rtol=1e-12)
    np.testing.assert_allclose(other["mean"], 1.5 * (1 - np.cos(np.pi * t)) / 2, rtol=1e-12, atol=1e-15)
    assert "Gaussian (paper)" in read.text
    assert "cosine (published code), not used" in read.text


@pytest.mark.parametrize(("images", "there"), [(0, False), (16, True)])
def test_images_are_offered_where_they_are_known(images: int, there: bool, tmp_path: Path) -> None:
    run = replace(synthetic.curves(), images_per_step=images)
    page = coarse_report(Saved.of(Training(runs=(run,))), tmp_path / "index.html").read_text()
    assert ('data-over="images"' in page) == there


def test_teachers_are_compared_where_they_were_measured(tmp_path: Path) -> None:
    run = synthetic.curves()
    teachers = {"teacher_distance": 0.1, "teacher_disagreement": 0.02}
    plain = run.metrics.drop(columns=list(teachers), errors="ignore")
    for metrics, there in ((plain.assign(**teachers), True), (plain, False)):
        training = Training(runs=(replace(run, metrics=metrics),))
        page = Page(coarse_report(Saved.of(training), tmp_path / "index.html").read_text())
        charts = {chart["id"] for chart in page.json("curves-facts")}
        assert ({"distance", "disagreement"} <= charts) == there
        if there:
            assert columns(page.json("curves-plots"), "disagreement-0")["mean"] == pytest.approx(2.0)
