from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from psmt_viz.errors import UserError
from psmt_viz.figures import draw_where
from psmt_viz.figures.kinds import look

from . import synthetic


def parts(ax, kind):
    found = {item.get_gid(): item for item in ax.collections}
    return found[kind], found[f"interval {kind}"]


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


@pytest.mark.parametrize(
    ("panel", "name"), [(0, "by_class"), (2, "by_distance"), (3, "by_confidence")], ids=["class", "distance", "sure"]
)
def test_rates_and_intervals_are_those_of_the_table(panel, name):
    flips = synthetic.flips(judges=("student", "ensemble"))
    ax = draw_where(flips, judge="ensemble").axes[panel]
    table = getattr(flips, name).query("judge == 'ensemble' and eps == 2 and norm == 'image' and correct_pixels > 0")
    value = 0 if name == "by_class" else 1
    for kind in ("vat", "tvat"):
        rows = table[table["kind"] == kind]
        points, bars = parts(ax, kind)
        np.testing.assert_allclose(points.get_offsets()[:, value], 100 * rows["flip_rate"])
        ends = np.array(bars.get_segments())[:, :, value]
        np.testing.assert_allclose(ends, 100 * rows[["flip_rate_low", "flip_rate_high"]])
        assert to_hex(points.get_edgecolor()[0]).upper() == look(kind).color
        # Each kind beside its label: place i is that of label i.
        np.testing.assert_array_equal(np.round(points.get_offsets()[:, 1 - value]), np.arange(len(rows)))
    assert {item.get_gid() for item in ax.collections} - {"bar of a zero"} == {
        text for kind in ("vat", "tvat", "random") for text in (kind, f"interval {kind}")
    }


def test_groups_are_labelled_and_those_without_correct_pixels_left_out():
    of_class, confusion, distance, confidence, _ = draw_where(synthetic.flips()).axes
    assert labels(of_class.yaxis) == list(synthetic.SCENES[:-1])
    assert labels(distance.xaxis) == ["1–2", "2–3", "3–5", "5–9", "9–17", "17–33"]
    assert labels(confidence.xaxis) == ["0.5–0.6", "0.6–0.7", "0.7–0.8", "0.8–0.9", "0.9–0.95", "0.95–0.99", "0.99–1"]
    assert labels(confusion.yaxis) == list(synthetic.SCENES)
    everywhere = synthetic.flips()
    everywhere = replace(everywhere, by_distance=everywhere.by_distance.assign(correct_pixels=5))
    assert labels(draw_where(everywhere).axes[2].xaxis)[-1] == "≥ 33"


def test_no_flip_is_hollow_on_the_line_of_zero():
    flips = synthetic.flips(("vat", "random"))
    table = flips.by_distance.copy()
    table.loc[table["kind"] == "random", ["flip_rate", "flip_rate_low"]] = 0.0
    ax = draw_where(replace(flips, by_distance=table)).axes[2]
    ax.figure.draw_without_rendering()
    random, _ = parts(ax, "random")
    vat, _ = parts(ax, "vat")
    (level,) = set(random.get_offsets()[:, 1])
    assert 0 < level < vat.get_offsets()[:, 1].min()
    assert {to_hex(color) for color in random.get_facecolor()} == {"#ffffff"}
    assert to_hex(vat.get_facecolor()[0]).upper() == look("vat").color
    texts = dict(zip(ax.get_yticks(), labels(ax.yaxis), strict=True))
    assert [text for value, text in texts.items() if np.isclose(value, level)] == ["0"]


@pytest.mark.parametrize(("table", "panel"), [("by_distance", 2), ("by_confidence", 3), ("by_class", 0)])
def test_no_flip_has_a_bar_that_ends_at_its_upper_bound(table, panel):
    flips = synthetic.flips(("vat", "random"))
    rows = getattr(flips, table).copy()
    rows.loc[rows["kind"] == "random", ["flip_rate", "flip_rate_low"]] = 0.0
    figure = draw_where(replace(flips, **{table: rows}))
    ax = figure.axes[panel]
    (caps,) = [item for item in ax.lines if item.get_gid() == "upper bound of a zero"]
    drawn = rows.query("kind == 'random' and eps == 2 and norm == 'image' and correct_pixels > 0")
    ends = caps.get_xdata() if table == "by_class" else caps.get_ydata()
    np.testing.assert_allclose(ends, 100 * drawn["flip_rate_high"])
    assert (np.asarray(ends) > 0).all()
    assert figure.legends[0].get_texts()[-1].get_text() == "upper bound of 0"


@pytest.mark.parametrize(("kinds", "drawn"), [(("vat", "tvat"), "tvat"), (("vat", "random"), "vat"), (("pgd",), "pgd")])
def test_the_confusion_holds_shares_of_all_flips(kinds, drawn):
    flips = synthetic.flips(kinds)
    ax = draw_where(flips).axes[1]
    rows = flips.confusion.query("kind == @drawn and eps == 2 and norm == 'image'")
    total = rows["pixels"].sum()
    shares = ax.images[0].get_array()
    for truth, prediction, pixels in zip(rows["truth"], rows["prediction"], rows["pixels"], strict=True):
        place = synthetic.SCENES.index(truth), synthetic.SCENES.index(prediction)
        assert shares[place] == pytest.approx(100 * pixels / total)
    assert np.nansum(shares) == pytest.approx(100)
    assert ax.get_title() == f"what {total:,} flips of {look(drawn).title} become"
    assert len(ax.texts) == len(rows)


def test_many_classes_have_no_numbers_and_no_flips_no_shares():
    assert not draw_where(synthetic.flips(("vat",), classes=synthetic.VOC)).axes[1].texts
    flips = synthetic.flips(("vat",))
    ax = draw_where(replace(flips, confusion=flips.confusion.iloc[:0])).axes[1]
    assert ax.get_title() == "what 0 flips of VAT become" and ax.images[0].get_array().mask.all()


def test_default_kinds_that_are_not_there_give_way_and_asked_ones_do_not():
    flips = synthetic.flips(("pgd", "cutout"))
    assert {item.get_gid() for item in draw_where(flips).axes[0].collections} >= {"pgd", "cutout"}
    with pytest.raises(UserError, match="kinds among pgd, cutout, got vat"):
        draw_where(flips, kinds=("vat",))
    with pytest.raises(UserError, match="a sweep with eps = 3"):
        draw_where(flips, eps=3)
