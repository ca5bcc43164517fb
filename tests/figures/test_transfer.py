from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from find_colors import contrast
from matplotlib.colors import same_color

from psmt_viz.errors import UserError
from psmt_viz.figures import draw_transfer
from psmt_viz.figures.kinds import look
from psmt_viz.figures.shares import percent
from psmt_viz.figures.style import text_color
from psmt_viz.results import ROLES

from . import synthetic


def texts(ax, gid):
    return [text.get_text() for text in ax.texts if text.get_gid() == gid]


def differences(figure):
    (found,) = [ax for ax in figure.axes if ax.get_ylabel().startswith("judge")]
    return found


def test_each_cell_holds_its_rate_and_interval():
    flips = synthetic.flips(reversed(synthetic.KINDS), judges=ROLES)
    matrix = draw_transfer(flips).axes[0]
    assert [text.get_text() for text in matrix.get_yticklabels()] == [look(kind).title for kind in synthetic.KINDS]
    assert [text.get_text() for text in matrix.get_xticklabels()] == ["student", "teacher 1", "teacher 2", "ensemble"]
    rows = flips.flips.query("eps == 2 and norm == 'image'").set_index(["kind", "judge"])
    wanted = [rows.loc[kind, judge] for kind in synthetic.KINDS for judge in ROLES]
    assert texts(matrix, "rate") == [percent(row["flip_rate"], 3 if row["flip_rate"] >= 1e-5 else 2) for row in wanted]
    (picture,) = matrix.images
    np.testing.assert_allclose(np.ravel(picture.get_array()), [100 * row["flip_rate"] for row in wanted])
    assert picture.norm(np.sqrt(picture.norm.vmin * picture.norm.vmax)) == pytest.approx(0.5)  # logarithmic
    first = rows.loc["vat", "student"]
    ends = [percent(first[f"flip_rate_{end}"]).removesuffix(" %") for end in ("low", "high")]
    assert texts(matrix, "interval")[0] == " – ".join(ends) == "0.10 – 0.18"


@pytest.mark.parametrize("norm", ["image", "pixel"])
def test_own_sizes_and_other_eps_are_not_in_the_matrix(norm):
    flips = synthetic.flips(("dropout",), judges=("student",))
    table = flips.flips.assign(norm=flips.flips["norm"].replace("image", norm))
    table.loc[table["norm"] == "own", ["eps", "flip_rate"]] = 2.0, 0.5
    assert texts(draw_transfer(replace(flips, flips=table)).axes[0], "rate") == [
        percent(table.query("norm == @norm and eps == 2")["flip_rate"].iloc[0], 3)
    ]
    assert texts(draw_transfer(flips, eps=8).axes[0], "rate") != texts(draw_transfer(flips).axes[0], "rate")


def test_zero_and_missing_cells_say_so():
    flips = synthetic.flips(("vat", "random"), judges=("student", "ensemble"))
    table = flips.flips[~((flips.flips["kind"] == "random") & (flips.flips["judge"] == "ensemble"))].copy()
    table.loc[table["kind"] == "random", ["flip_rate", "flip_rate_low"]] = 0.0
    matrix = draw_transfer(replace(flips, flips=table)).axes[0]
    rates = texts(matrix, "rate")
    assert len(rates) == 3 and rates[2] == "0 %"
    assert matrix.images[0].get_array().mask.tolist() == [[False, False], [False, True]]


def test_differences_are_in_percentage_points_and_hollow_around_zero():
    flips = synthetic.flips(judges=ROLES)
    ax = differences(draw_transfer(flips))
    drawn = {line.get_gid(): line for line in ax.lines if line.get_gid()}
    assert len(drawn) == 2 * 3 * 4
    for row in flips.paired.query("eps == 2").to_dict("records"):
        name = f"{row['kind']}/{row['judge']}"
        assert drawn[name].get_xdata() == pytest.approx([100 * row["difference"]])
        ends = [100 * row["difference_low"], 100 * row["difference_high"]]
        np.testing.assert_allclose(drawn[f"interval {name}"].get_xdata(), ends)
        hollow = same_color(drawn[name].get_markerfacecolor(), "white")
        assert hollow == (row["kind"] == "teacher1")
        # Each judge is a group of its own.
        assert round(float(drawn[name].get_ydata()[0])) == ROLES.index(row["judge"])
    assert ax.get_title() == "difference from VAT at eps = 2"
    assert any(list(line.get_xdata()) == [0, 0] for line in ax.lines)


def test_an_unknown_interval_is_hollow_and_other_pairs_are_left_out():
    flips = synthetic.flips(("vat", "tvat"))
    table = flips.paired.assign(difference_low=np.nan, difference_high=np.nan)
    other = table.assign(kind="pgd")
    ax = differences(draw_transfer(replace(flips, paired=pd.concat([table, other]))))
    points = [line for line in ax.lines if line.get_gid() and not line.get_gid().startswith("interval")]
    assert [point.get_gid() for point in points] == ["tvat/student"]
    assert same_color(points[0].get_markerfacecolor(), "white")
    assert ax.get_title() == "T-VAT minus VAT at eps = 2"


@pytest.mark.parametrize(
    ("kinds", "words"), [(("vat", "random"), "teachers were left out"), (("tvat",), "no difference")]
)
def test_without_differences_there_is_only_the_matrix(kinds, words):
    for judges, width in ((1, 84), (3, 174)):
        figure = draw_transfer(synthetic.flips(kinds, judges=ROLES[:judges]))
        matrix, _ = figure.axes  # and the colour bar
        assert words in matrix.get_xlabel()
        assert figure.get_size_inches()[0] == pytest.approx(width / 25.4)


def test_text_is_readable_on_every_cell():
    matrix = draw_transfer(synthetic.flips(judges=ROLES)).axes[0]
    (picture,) = matrix.images
    for text in matrix.texts:
        column, row = text.xy
        ground = picture.cmap(picture.norm(picture.get_array()[int(row), int(column)]))
        assert contrast(ground, text.get_color()) > 4.5
    assert text_color((0.0, 0.0, 0.2, 1.0)) == "white" and text_color((1.0, 1.0, 0.0)) == "black"


def test_an_eps_that_is_not_there_is_an_error():
    with pytest.raises(UserError, match=r"a sweep with eps = 3, got eps 0\.5, 2"):
        draw_transfer(synthetic.flips(("vat",), eps=(0.5, 2.0)), eps=3)
