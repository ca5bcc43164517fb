from __future__ import annotations

import colorsys
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from find_colors import SIGHT, contrast, nearest, seen
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from psmt_viz.figures import class_colors, class_markers, draw_class_iou, style
from psmt_viz.figures.kinds import look
from psmt_viz.figures.pictures import shares_colormap
from psmt_viz.figures.style import (
    DARK_PAPER,
    FLIP_COLOR,
    LINE_COLORS,
    flip_color,
    is_dark,
    line_colors,
    plain,
    role_color,
    shade,
)
from psmt_viz.kinds import KINDS
from psmt_viz.results import ROLES
from psmt_viz.roles import role_of

from . import synthetic


def test_a_class_has_one_colour_whatever_the_number_of_classes():
    assert class_colors(7) == class_colors(21)[:7]
    assert class_markers(7) == class_markers(21)[:7]
    assert len(set(class_colors(21))) == 21
    assert len(set(zip(class_colors(21), class_markers(21), strict=True))) == 21
    assert len(class_colors(30)) == 30


PAPERS = pytest.mark.parametrize("dark", [False, True], ids=["white", "dark"])
SIGHTS = pytest.mark.parametrize("sight", SIGHT)


@PAPERS
def test_no_class_colour_is_near_the_red_of_stars(dark):
    def hue(color):
        return 360 * colorsys.rgb_to_hsv(*to_rgb(color))[0]

    with style(dark=dark):
        assert not 20 < hue(flip_color()) < 340
        for color in class_colors(21)[1:]:
            assert 35 < hue(color) < 300, color
        assert len(set(to_rgb(class_colors(1)[0]))) == 1  # grey has no hue


def kind_colors():
    return [look(kind).color for kind in KINDS]


@PAPERS
@SIGHTS
def test_kind_colours_can_be_told_apart(sight, dark):
    with style(dark=dark):
        assert nearest(seen(kind_colors(), sight)) > (0.096 if dark else 0.1)
    assert len({kind.marker for kind in KINDS.values()} - {"*"}) == len(KINDS)


@PAPERS
@SIGHTS
def test_class_colours_can_be_told_apart(sight, dark):
    with style(dark=dark):
        lab = seen(class_colors(21), sight)
    assert nearest(lab) > (0.06 if dark else 0.077)
    assert np.linalg.norm(lab[1:] - lab[0], axis=1).min() > (0.1 if dark else 0.13)  # class 0 is beside every other


@PAPERS
@SIGHTS
def test_line_colours_can_be_told_apart(sight, dark):
    with style(dark=dark):
        assert nearest(seen(line_colors(), sight)) > 0.095


def test_colours_stand_out_from_dark_paper():
    with style(dark=True):
        for color in (*class_colors(21), *line_colors(), *kind_colors(), look("unknown").color):
            assert contrast(color, DARK_PAPER) >= 3, color
        for color in (flip_color(), *map(role_color, (*ROLES, "unknown")), shade(0.4)):  # text, too
            assert contrast(color, DARK_PAPER) >= 4.5, color


def test_colours_of_dark_paper_are_lighter_ones_of_about_the_same_hue():
    """A class keeps its name for the eye: no colour turns by more than a twelfth of the circle."""

    def colors():
        return [*class_colors(21), *line_colors(), *kind_colors(), flip_color()]

    with style(dark=True):
        dark = seen(colors(), "normal")
    white = seen(colors(), "normal")
    chroma = np.hypot(*white[:, 1:].T)
    turn = np.angle(np.exp(1j * (np.arctan2(*dark[:, :0:-1].T) - np.arctan2(*white[:, :0:-1].T))), deg=True)
    assert np.abs(turn[chroma > 0.01]).max() < 30
    assert np.allclose(dark[chroma < 0.01, 1:], 0, atol=0.01)  # a grey stays one
    low = np.array([contrast(color, DARK_PAPER) for color in colors()]) < 3
    assert low.any() and (dark[low, 0] > white[low, 0]).all()


def test_outside_of_a_dark_block_colours_are_those_of_white_paper():
    assert role_color("student") == role_of("student").color and flip_color() == FLIP_COLOR
    assert line_colors() == LINE_COLORS and look("pgd").color == KINDS["pgd"].color
    assert shade(0.3) == "0.3" and not is_dark()


def test_a_block_takes_the_paper_of_the_one_around_it():
    with style(dark=True):
        with style():
            assert is_dark() and shade(1) == DARK_PAPER.lower()
            assert contrast(shade(0), DARK_PAPER) > contrast(shade(0.5), DARK_PAPER) > contrast(shade(0.9), DARK_PAPER)
        with style(dark=False):
            assert not is_dark() and mpl.rcParams["axes.facecolor"] == "white"
        assert is_dark()
    with style():
        assert not is_dark()


@PAPERS
def test_shares_go_from_the_paper_steadily_away(dark):
    with style(dark=dark):
        ramp = shares_colormap()(np.linspace(0, 1, 50))
        paper = mpl.rcParams["figure.facecolor"]
    assert contrast(ramp[0], paper) < 1.06
    steps = np.diff(seen(ramp, "normal")[:, 0])
    assert (steps > 0).all() if dark else (steps < 0).all()


def test_no_class_is_a_star():
    assert "*" not in class_markers(21)


def test_style_holds_inside_its_block_only_and_ignores_the_users_own():
    with mpl.rc_context({"axes.facecolor": "pink"}):
        with style():
            assert mpl.rcParams["pdf.fonttype"] == 42
            assert mpl.rcParams["axes.facecolor"] == "white"
        assert mpl.rcParams["axes.facecolor"] == "pink"


def test_given_axes_are_drawn_on_and_keep_the_callers_settings():
    ax = Figure().add_subplot()
    size = ax.xaxis.label.get_size()
    assert draw_class_iou(synthetic.evaluation(), ax=ax) is ax
    assert ax.xaxis.label.get_size() == size


def test_names_with_dollars_are_no_formulas():
    figure = Figure()
    text = figure.text(0, 0, plain("a_$x^2$"))
    figure.draw_without_rendering()
    assert text._preprocess_math(text.get_text()) == ("a_$x^2$", False)


def test_importing_figures_needs_neither_torch_nor_pyplot():
    code = (
        "import sys, psmt_viz.figures as f;"
        "print(sorted({'torch', 'sklearn', 'matplotlib.pyplot', 'openTSNE', 'psmt_viz.probes'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
