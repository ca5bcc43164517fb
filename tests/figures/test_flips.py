from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from psmt_viz.errors import UserError
from psmt_viz.figures import draw_flips
from psmt_viz.figures.style import ROLE_COLORS

from . import synthetic


def line(ax, gid):
    (found,) = [item for item in ax.lines if item.get_gid() == gid]
    return found


def test_rates_are_in_percent_on_logarithmic_axes():
    flips = synthetic.flips(("random", "vat", "tvat"))
    ax = draw_flips(flips)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    rows = flips.flips[flips.flips["kind"] == "tvat"]
    drawn = line(ax, "tvat/student/image")
    np.testing.assert_allclose(drawn.get_xdata(), rows["eps"])
    np.testing.assert_allclose(drawn.get_ydata(), 100 * rows["flip_rate"])
    assert drawn.get_color() == ROLE_COLORS["ensemble"]
    band = ax.collections[2].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(100 * rows["flip_rate_low"].min())
    assert band.max() == pytest.approx(100 * rows["flip_rate_high"].max())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["random direction", "VAT", "T-VAT"]


def test_zero_is_hollow_on_a_line_that_is_labelled_zero():
    ax = draw_flips(synthetic.flips(("vat", "tvat-official")))
    ax.figure.draw_without_rendering()
    drawn = line(ax, "tvat-official/student/image")
    zeros = line(ax, "zero")
    floor = drawn.get_ydata()[0]
    positive = drawn.get_ydata()[drawn.get_ydata() != floor]
    assert 0 < floor < 0.8 * positive.min() / 1.6
    assert set(zeros.get_ydata()) == {floor} and list(zeros.get_xdata()) == [0.5, 1.0]
    assert zeros.get_markerfacecolor() == "white"
    labels = dict(zip(ax.get_yticks(), (text.get_text() for text in ax.get_yticklabels()), strict=True))
    assert [label for value, label in labels.items() if np.isclose(value, floor)] == ["0"]
    assert list(labels.values()).count("0") == 1
    assert ax.get_ylim()[0] < floor


def test_a_sweep_without_any_flip_draws():
    flips = synthetic.flips(("vat",))
    table = flips.flips.assign(flip_rate=0.0, flip_rate_low=0.0, flip_rate_high=0.0)
    ax = draw_flips(replace(flips, flips=table))
    ax.figure.draw_without_rendering()
    assert len(line(ax, "zero").get_xdata()) == 7
    # With an upper bound that is not zero, the floor is below it.
    ax = draw_flips(replace(flips, flips=table.assign(flip_rate_high=1e-6)))
    assert line(ax, "zero").get_ydata()[0] < 1e-4


def test_the_papers_eps_is_marked_with_its_relative_norm():
    ax = draw_flips(synthetic.flips())
    assert [text.get_text() for text in ax.texts] == ["paper: eps = 2\n(0.32 % of ‖z‖)"]
    (top,) = ax.child_axes
    top.figure.draw_without_rendering()
    np.testing.assert_allclose(top.get_xlim(), np.array(ax.get_xlim()) * 100 / 627)


def test_no_top_axis_where_norms_differ():
    flips = synthetic.flips(("vat", "tvat"))
    table = flips.flips.assign(norm=np.where(flips.flips["kind"] == "vat", "image", "pixel"))
    table.loc[table["norm"] == "pixel", "relative_norm"] *= 40
    ax = draw_flips(replace(flips, flips=table))
    assert not ax.child_axes
    assert ax.texts[0].get_text() == "paper: eps = 2"
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["VAT, norm per image", "T-VAT, norm per pixel"]


def test_judges_are_told_apart():
    ax = draw_flips(synthetic.flips(("vat",), judges=("student", "ensemble")))
    one, other = line(ax, "vat/student/image"), line(ax, "vat/ensemble/image")
    assert one.get_color() == other.get_color() and one.get_linestyle() != other.get_linestyle()


def test_nothing_to_draw_is_an_error():
    flips = synthetic.flips(("vat",))
    with pytest.raises(UserError, match="eps > 0"):
        draw_flips(replace(flips, flips=flips.flips.assign(eps=0.0)))
