from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import same_color

from psmt_viz.errors import UserError
from psmt_viz.figures import draw_flips, draw_judges, draw_sweep, draw_transfer
from psmt_viz.figures.style import FLIP_COLOR, role_color
from psmt_viz.results import ROLES

from . import synthetic


def line(ax, gid):
    (found,) = [item for item in ax.lines if item.get_gid() == gid]
    return found


def test_rates_are_in_percent_on_logarithmic_axes():
    flips = synthetic.flips(("random", "vat", "tvat"))
    ax = draw_flips(flips)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    rows = flips.flips[flips.flips["kind"] == "tvat"]
    drawn = line(ax, "tvat/image")
    np.testing.assert_allclose(drawn.get_xdata(), rows["eps"])
    np.testing.assert_allclose(drawn.get_ydata(), 100 * rows["flip_rate"])
    assert drawn.get_color() == role_color("ensemble")
    (band,) = [item for item in ax.collections if item.get_gid() == "band tvat/image"]
    band = band.get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(100 * rows["flip_rate_low"].min())
    assert band.max() == pytest.approx(100 * rows["flip_rate_high"].max())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["VAT", "T-VAT", "random direction"]


def test_zero_is_hollow_on_a_line_that_is_labelled_zero():
    ax = draw_flips(synthetic.flips(("vat", "tvat-official")))
    ax.figure.draw_without_rendering()
    drawn = line(ax, "tvat-official/image")
    zeros = line(ax, "zero")
    floor = drawn.get_ydata()[0]
    positive = drawn.get_ydata()[drawn.get_ydata() != floor]
    assert 0 < floor < 0.8 * positive.min() / 1.6
    assert set(zeros.get_ydata()) == {floor} and list(zeros.get_xdata()) == [0.5, 1.0]
    assert same_color(zeros.get_markerfacecolor(), "white")
    labels = dict(zip(ax.get_yticks(), (text.get_text() for text in ax.get_yticklabels()), strict=True))
    assert [label for value, label in labels.items() if np.isclose(value, floor)] == ["0"]
    assert list(labels.values()).count("0") == 1
    assert ax.get_ylim()[0] < floor


def test_no_flip_has_a_bar_from_zero_to_its_upper_bound():
    flips = synthetic.flips(("vat", "tvat-official"))
    ax = draw_flips(flips)
    rows = flips.flips.query("kind == 'tvat-official' and flip_rate == 0")
    assert len(rows) == 2
    caps = line(ax, "upper bound of a zero")
    np.testing.assert_allclose(caps.get_xdata(), rows["eps"])
    np.testing.assert_allclose(caps.get_ydata(), 100 * rows["flip_rate_high"])
    (bars,) = [item for item in ax.collections if item.get_gid() == "bar of a zero"]
    floor = line(ax, "zero").get_ydata()[0]
    for bar, eps, high in zip(bars.get_segments(), rows["eps"], rows["flip_rate_high"], strict=True):
        np.testing.assert_allclose(bar, [[eps, floor], [eps, 100 * high]])
    assert ax.get_legend().get_texts()[-1].get_text() == "upper bound of 0"
    without = draw_flips(synthetic.flips(("vat",)))
    assert "upper bound of 0" not in [text.get_text() for text in without.get_legend().get_texts()]
    assert not [item for item in without.lines if item.get_gid() == "upper bound of a zero"]


def test_an_upper_bound_that_is_not_known_is_not_drawn():
    flips = synthetic.flips(("vat", "tvat-official"))
    ax = draw_flips(replace(flips, flips=flips.flips.assign(flip_rate_low=np.nan, flip_rate_high=np.nan)))
    assert not [item for item in ax.lines if item.get_gid() == "upper bound of a zero"]
    assert len(line(ax, "zero").get_xdata()) == 2


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


def test_one_judge_is_drawn_and_named():
    flips = synthetic.flips(("vat",), judges=("teacher1", "ensemble"))
    for judge, drawn, title in (
        ("ensemble", "ensemble", "judged by the ensemble"),
        ("student", "teacher1", "judged by teacher 1"),
    ):
        ax = draw_flips(flips, judge=judge)
        rows = flips.flips[flips.flips["judge"] == drawn]
        np.testing.assert_allclose(line(ax, "vat/image").get_ydata(), 100 * rows["flip_rate"])
        assert ax.get_legend().get_title().get_text() == title


def test_the_authors_own_size_is_a_large_hollow_marker_joined_to_nothing():
    flips = synthetic.flips(("vat", "dropout", "cutout"))
    ax = draw_flips(flips)
    own = flips.flips[flips.flips["norm"] == "own"]
    for kind in ("dropout", "cutout"):
        drawn, joined = line(ax, f"{kind}/own"), line(ax, f"{kind}/image")
        (row,) = own[own["kind"] == kind].to_dict("records")
        assert list(drawn.get_xdata()) == [row["eps"]] and row["eps"] not in joined.get_xdata()
        np.testing.assert_allclose(drawn.get_ydata(), 100 * row["flip_rate"])
        assert [same_color(item.get_markerfacecolor(), "white") for item in (drawn, joined)] == [True, False]
        assert drawn.get_markersize() > 1.5 * joined.get_markersize()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["VAT", "dropout", "cutout", "size used by its authors"]
    # The sweep keeps more than half of the axis.
    low, high = np.log10(ax.get_xlim())
    assert np.log10(32 / 0.5) / (high - low) > 0.5
    assert set(ax.get_xticks()) >= {0.5, 32.0, 100.0}
    assert "size used by its authors" not in str(
        [t.get_text() for t in draw_flips(synthetic.flips(("vat",))).get_legend().texts]
    )


def test_kinds_have_their_own_look_and_one_order():
    ax = draw_flips(synthetic.flips(reversed(synthetic.KINDS)))
    handles = ax.get_legend().legend_handles[: len(synthetic.KINDS)]
    drawn = [line(ax, f"{kind}/image") for kind in synthetic.KINDS]
    assert [item.get_color() for item in handles] == [item.get_color() for item in drawn]
    for part in ("get_color", "get_marker"):
        assert len({getattr(item, part)() for item in drawn}) == len(synthetic.KINDS)


def test_the_sweep_has_flips_and_divergence_and_one_legend():
    flips = synthetic.flips(judges=("student", "ensemble"))
    figure = draw_sweep(flips)
    rates, divergence = figure.axes
    rows = flips.flips.query("kind == 'pgd' and judge == 'student' and norm == 'image'")
    np.testing.assert_allclose(line(rates, "pgd/image").get_ydata(), 100 * rows["flip_rate"])
    np.testing.assert_allclose(line(divergence, "pgd/image").get_ydata(), rows["kl"])
    (band,) = [item for item in divergence.collections if item.get_gid() == "band pgd/image"]
    assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(rows["kl_high"].max())
    assert "nats" in divergence.get_ylabel()
    assert len(figure.legends) == 1 and rates.get_legend() is None
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == len(synthetic.KINDS) + 2 and texts[-2:] == ["size used by its authors", "upper bound of 0"]
    assert figure.get_size_inches()[0] == pytest.approx(174 / 25.4)


@pytest.mark.parametrize("draw", [draw_sweep, draw_transfer])
def test_what_is_wrong_with_a_kind_is_below_in_red(draw):
    assert not draw(synthetic.flips(judges=ROLES)).texts
    warnings = {
        "pgd": ["costs 3 $ or 4 $"],
        "tvat": ["some WWWWWWWWWW long words, " * 12 + "end", "and more"],
        "vat": [],
    }
    flips = synthetic.flips(judges=ROLES, warnings=warnings)
    figure = draw(flips)
    (text,) = figure.texts
    joined = " ".join(text.get_text().split())
    assert joined == "T-VAT: " + "some WWWWWWWWWW long words, " * 12 + "end; and more PGD: costs 3 \\$ or 4 \\$"
    assert text.get_color() == FLIP_COLOR
    figure.draw_without_rendering()
    box, page = text.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0
    lowest = min(ax.get_tightbbox().y0 for ax in figure.axes)
    assert box.y1 <= lowest + 1, "the warnings lie on a panel"
    assert figure.get_size_inches()[1] > draw(synthetic.flips(judges=ROLES)).get_size_inches()[1]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_panel_a_judge_on_shared_axes(count):
    flips = synthetic.flips(("vat", "tvat-official"), judges=ROLES[:count])
    figure = draw_judges(flips)
    shown = [ax for ax in figure.axes if ax.get_visible()]
    titles = ["judged by the student", "judged by teacher 1", "judged by teacher 2", "judged by the ensemble"]
    assert [ax.get_title() for ax in shown] == titles[:count]
    for ax, judge in zip(shown, ROLES, strict=False):
        rows = flips.flips[(flips.flips["kind"] == "vat") & (flips.flips["judge"] == judge)]
        np.testing.assert_allclose(line(ax, "vat/image").get_ydata(), 100 * rows["flip_rate"])
        assert ax.get_ylim() == shown[0].get_ylim() and ax.get_xlim() == shown[0].get_xlim()
    # The lowest panel of each column says what its axis is.
    assert sum(bool(ax.get_xlabel()) for ax in shown) == min(count, 2)
    assert len(figure.legends) == 1


def test_an_axis_within_one_decade_has_labels():
    flips = synthetic.flips(("vat",), eps=(2.0, 3.0))
    table = flips.flips.assign(flip_rate=[3e-3, 4e-3], flip_rate_low=[2.5e-3, 3e-3], flip_rate_high=[4e-3, 5e-3])
    ax = draw_flips(replace(flips, flips=table))
    ax.figure.draw_without_rendering()
    low, high = ax.get_ylim()
    labels = [text.get_text() for text in ax.get_yticklabels() if low <= text.get_position()[1] <= high]
    assert len(labels) >= 2 and "0.5" in labels


@pytest.mark.parametrize("draw", [draw_flips, draw_sweep, draw_judges])
def test_nothing_to_draw_is_an_error(draw):
    flips = synthetic.flips(("vat",))
    with pytest.raises(UserError, match="eps > 0"):
        draw(replace(flips, flips=flips.flips.assign(eps=0.0)))


def test_the_papers_eps_is_not_marked_among_norms_of_pixels():
    flips = synthetic.flips(("vat", "tvat"))
    ax = draw_flips(replace(flips, flips=flips.flips.assign(norm="pixel")))
    assert not [text for text in ax.texts if "paper" in text.get_text()]
