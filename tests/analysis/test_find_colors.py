"""The search for colours: OKLab's published values, distances by a loop, and that it finds colours like today's."""

from __future__ import annotations

import find_colors
import numpy as np
import pytest
from find_colors import SIGHT, contrast, distances, farthest, seen, taken

from psmt_viz.figures.style import DARK_PAPER
from psmt_viz.kinds import KINDS


@pytest.mark.parametrize(
    ("color", "lab"),
    [
        ("#FFFFFF", (1, 0, 0)),
        ("#000000", (0, 0, 0)),
        ("#FF0000", (0.628, 0.225, 0.126)),
        ("#00FF00", (0.866, -0.234, 0.180)),
        ("#0000FF", (0.452, -0.032, -0.312)),
    ],
)
def test_colours_in_oklab_are_those_of_its_author(color: str, lab: tuple[float, ...]) -> None:
    np.testing.assert_allclose(seen([color], "normal")[0], lab, atol=1e-3)


def test_greys_look_alike_to_everyone_and_contrast_is_that_of_the_standard() -> None:
    for sight in SIGHT:
        np.testing.assert_allclose(seen(["#808080"], sight)[0, 1:], 0, atol=2e-3)
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)


def test_a_distance_is_the_least_over_sights_and_others() -> None:
    colors, others = ["#0072B2", "#FF0000"], ["#009E73", "#C44E00", "#5A0F78"]
    expected = [
        min(
            float(np.linalg.norm(seen([color], sight)[0] - seen([other], sight)[0]))
            for sight in SIGHT
            for other in others
        )
        for color in colors
    ]
    np.testing.assert_allclose(distances(colors, others), expected)
    # Red and vermilion are near for who sees no red.
    assert distances(["#FF0000"], ["#C44E00"])[0] < np.linalg.norm(
        seen(["#FF0000"], "normal") - seen(["#C44E00"], "normal")
    )


def test_a_new_kind_gets_a_colour_that_the_figures_accept() -> None:
    white, dark = taken()
    free = farthest(white, paper="white")
    assert free.distance > 0.1
    assert distances([free.color], white)[0] >= free.distance - 1e-9
    lighter = farthest(dark, paper=DARK_PAPER, like=free.color)
    assert lighter.distance > 0.096 and contrast(lighter.color, DARK_PAPER) >= 3
    # No other colour of a coarser grid lies farther.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find_colors, "STEP", 51)
        assert farthest(white, paper="white").distance <= free.distance + 0.02


@pytest.mark.parametrize("name", ["pgd", "dropout", "feature-drop", "feature-noise"])
def test_it_would_choose_colours_like_todays(name: str) -> None:
    found = farthest(taken(without=name)[0], paper="white")
    ((_, *ours), (_, *best)) = seen([KINDS[name].color, found.color], "normal")
    turn = np.angle(complex(*ours) / complex(*best), deg=True)
    assert abs(turn) < 25
