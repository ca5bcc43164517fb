"""Reliability diagrams, by their artists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from psmt_viz.errors import UserError
from psmt_viz.figures.reliability import draw_reliability, draw_reliability_panel, figures
from psmt_viz.figures.style import role_color
from psmt_viz.results import ROLES
from tests.figures import synthetic


def bars(ax, gid):
    return [patch for patch in ax.patches if patch.get_gid() == gid]


def test_bars_are_the_accuracy_and_the_gap_to_the_confidence():
    result = synthetic.reliability()
    rows = result.bins[(result.bins["role"] == "student") & (result.bins["pixels"] > 0)]
    ax = draw_reliability_panel(result, "student")
    heights = [bar.get_height() for bar in bars(ax, "accuracy")]
    np.testing.assert_allclose(heights, 100 * rows["accuracy"])
    assert [bar.get_x() for bar in bars(ax, "accuracy")] == pytest.approx(100 * rows["low"])
    tops = [bar.get_y() + bar.get_height() for bar in bars(ax, "gap")]
    np.testing.assert_allclose(tops, 100 * rows["confidence"])
    assert {to_hex(bar.get_facecolor()) for bar in bars(ax, "accuracy")} == {role_color("student").lower()}
    (segments,) = [lines.get_segments() for lines in ax.collections]
    ends = np.array([sorted(segment[:, 1]) for segment in segments])
    np.testing.assert_allclose(ends, 100 * rows[["accuracy_low", "accuracy_high"]])


def test_a_panel_for_each_role_with_its_error_and_pixels():
    result = synthetic.reliability()
    figure = draw_reliability(result)
    upper, lower = figure.axes[:4], figure.axes[4:]
    titles = [ax.get_title().splitlines() for ax in upper]
    assert [title[0] for title in titles] == ["student", "teacher 1", "teacher 2", "ensemble"]
    row = result.roles.iloc[0]
    assert titles[0][1] == f"ECE {100 * row['ece']:.2f} %, 95 % interval"
    assert titles[0][2] == f"{100 * row['ece_low']:.2f} to {100 * row['ece_high']:.2f} %"
    for ax in lower:
        assert sum(bar.get_height() for bar in bars(ax, "pixels")) == pytest.approx(100)
    assert figure.get_figwidth() * 25.4 == pytest.approx(174)


def test_roles_that_are_not_there_leave_their_place_free():
    result = synthetic.reliability(roles=("student",))
    figure = draw_reliability(result)
    assert [ax.get_visible() for ax in figure.axes[:4]] == [True, False, False, False]


def test_an_error_without_an_interval_is_told_alone():
    result = synthetic.reliability(roles=("student",))
    alone = replace(result, roles=result.roles.assign(ece_low=np.nan, ece_high=np.nan))
    assert draw_reliability_panel(alone, "student").get_title().splitlines()[1:] == [
        f"ECE {100 * alone.roles['ece'].iloc[0]:.2f} %"
    ]


def test_axes_of_ones_own():
    ax = Figure().add_subplot()
    assert draw_reliability_panel(synthetic.reliability(), "ensemble", ax=ax) is ax


def test_bad_requests():
    result = synthetic.reliability(roles=("student",))
    with pytest.raises(UserError, match="one of the roles student, got 'ensemble'; choose another role"):
        draw_reliability_panel(result, "ensemble")
    with pytest.raises(UserError, match="roles with predictions, got none"):
        figures(replace(result, roles=result.roles.iloc[:0]))


def test_every_role_has_a_colour_of_its_own():
    figure = draw_reliability(synthetic.reliability())
    colors = {to_hex(bars(ax, "accuracy")[0].get_facecolor()) for ax in figure.axes[:4]}
    assert len(colors) == len(ROLES)
