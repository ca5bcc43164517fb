from __future__ import annotations

import colorsys
import subprocess
import sys
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from psmt_viz.figures import class_colors, class_markers, draw_class_iou, style
from psmt_viz.figures.kinds import LOOKS
from psmt_viz.figures.style import FLIP_COLOR, percent, plain

from . import synthetic


def test_a_class_has_one_colour_whatever_the_number_of_classes():
    assert class_colors(7) == class_colors(21)[:7]
    assert class_markers(7) == class_markers(21)[:7]
    assert len(set(class_colors(21))) == 21
    assert len(set(zip(class_colors(21), class_markers(21), strict=True))) == 21
    assert len(class_colors(30)) == 30


def test_no_class_colour_is_near_the_red_of_stars():
    def hue(color):
        return 360 * colorsys.rgb_to_hsv(*to_rgb(color))[0]

    assert not 20 < hue(FLIP_COLOR) < 340
    for color in class_colors(21)[1:]:
        assert 35 < hue(color) < 300, color
    assert len(set(to_rgb(class_colors(1)[0]))) == 1  # grey has no hue


# Ottosson's OKLab, and the dichromats of Machado et al. (2009) at full severity.
LMS = np.array(
    [[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]],
)
LAB = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
SIGHT = {
    "normal": np.eye(3),
    "deuteranopia": np.array([[0.36732, 0.86065, -0.22797], [0.28009, 0.67250, 0.04741], [-0.01182, 0.04294, 0.96888]]),
    "protanopia": np.array([[0.15229, 1.05258, -0.20487], [0.11450, 0.78628, 0.09922], [-0.00388, -0.04812, 1.05200]]),
}


def seen(colors, sight):
    rgb = np.array([to_rgb(color) for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(np.clip(linear @ SIGHT[sight].T, 0, 1) @ LMS.T) @ LAB.T


def nearest(lab):
    return min(np.linalg.norm(one - other) for one, other in combinations(lab, 2))


@pytest.mark.parametrize("sight", SIGHT)
def test_kind_colours_can_be_told_apart(sight):
    assert nearest(seen([look.color for look in LOOKS.values()], sight)) > 0.1
    assert len({look.marker for look in LOOKS.values()} - {"*"}) == len(LOOKS) == 11


@pytest.mark.parametrize("sight", SIGHT)
def test_class_colours_can_be_told_apart(sight):
    lab = seen(class_colors(21), sight)
    assert nearest(lab) > 0.077
    assert np.linalg.norm(lab[1:] - lab[0], axis=1).min() > 0.13  # class 0 is beside every other


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


@pytest.mark.parametrize(
    ("share", "text"),
    [(36 / 25_000, "0.14 %"), (0, "0 %"), (1, "100 %"), (0.2, "20 %"), (1 / 25_000, "0.0040 %"), (0.0314, "3.1 %"),
     (float("nan"), "not known")],
)  # fmt: skip
def test_percent(share, text):
    assert percent(share) == text


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
