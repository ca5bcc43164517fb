from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from psmt_viz.errors import UserError
from psmt_viz.figures import class_colors, draw_tsne
from psmt_viz.figures.style import FLIP_COLOR

from . import synthetic


def collections(ax, gid):
    return [item for item in ax.collections if item.get_gid() == gid]


def test_stars_are_the_flipped_pixels_and_lie_on_top():
    embedding = synthetic.embedding(200, (7, 11))
    figure = draw_tsne(embedding)
    for ax, panel, count in zip(figure.axes, embedding.PANELS, (0, 7, 11), strict=True):
        (stars,) = collections(ax, "flipped")
        wrong = embedding.pixels[embedding.flipped(panel)]
        assert len(wrong) == count
        np.testing.assert_array_equal(np.asarray(stars.get_offsets()), wrong[[f"x_{panel}", f"y_{panel}"]])
        points = [item for item in ax.collections if item is not stars]
        assert all(stars.zorder > item.zorder for item in points)
        assert sum(len(item.get_offsets()) for item in points) == len(embedding.pixels) - count
        assert all(item.get_rasterized() for item in points) and not stars.get_rasterized()
        if count:
            assert to_hex(stars.get_facecolor()[0]).upper() == FLIP_COLOR


def test_points_have_their_class_colours():
    embedding = synthetic.embedding(50)
    ax = draw_tsne(embedding).axes[0]
    for label in np.unique(embedding.pixels["label"]):
        drawn = collections(ax, f"class-{label}")
        assert sum(len(item.get_offsets()) for item in drawn) == 50
        assert {to_hex(item.get_facecolor()[0]).upper() for item in drawn} == {class_colors(21)[label]}


def test_titles_legend_and_footer():
    figure = draw_tsne(synthetic.embedding(5000, (36, 41)))
    assert [ax.get_title() for ax in figure.axes] == [
        "(a) original\n0 of 25,000 flipped (0 %)",
        "(b) + VAT\n36 of 25,000 flipped (0.14 %)",
        "(c) + T-VAT\n41 of 25,000 flipped (0.16 %)",
    ]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["background", "car", "dog", "person", "train", "prediction now wrong"]
    footer = figure.axes[1].get_xlabel()
    for part in ("eps = 2 (0.32 % of ‖z‖)", "decoder.2", "perplexity 30", "trustworthiness 0.973"):
        assert part in footer


@pytest.mark.parametrize("parameters", [{}, {"eps": 2}, {"relative_norm": 0.1}, {"eps": "auto", "layer": None}])
def test_missing_parameters_are_left_out(parameters):
    figure = draw_tsne(replace(synthetic.embedding(20, (1, 1)), parameters=parameters))
    assert "None" not in figure.axes[1].get_xlabel()
    assert ("eps" in figure.axes[1].get_xlabel()) == ("eps" in parameters)


def test_panels_share_square_limits_that_hold_every_point():
    embedding = synthetic.embedding(100)
    axes = draw_tsne(embedding).axes
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1
    (left, right), (bottom, top) = axes[0].get_xlim(), axes[0].get_ylim()
    assert right - left == pytest.approx(top - bottom)
    for panel in embedding.PANELS:
        assert embedding.pixels[f"x_{panel}"].between(left, right).all()
        assert embedding.pixels[f"y_{panel}"].between(bottom, top).all()
    assert all(len(ax.get_xticks()) == len(ax.get_yticks()) == 0 for ax in axes)


def test_many_stars_are_smaller_but_equal_in_all_panels():
    few, many = (draw_tsne(synthetic.embedding(1200, flips)) for flips in ((30, 36), (4000, 5000)))
    sizes = [{float(collections(ax, "flipped")[0].get_sizes()[0]) for ax in figure.axes} for figure in (few, many)]
    assert all(len(size) == 1 for size in sizes)
    assert sizes[0].pop() > 3 * sizes[1].pop()


def test_a_class_of_which_every_pixel_flips_is_still_in_the_legend():
    embedding = synthetic.embedding(10, (0, 0))
    embedding.pixels.loc[embedding.pixels["label"] == 7, "pred_vat"] = 0
    figure = draw_tsne(embedding)
    assert figure.axes[1].get_title().startswith("(b) + VAT\n10 of 50")
    assert "car" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_no_pixels_is_an_error():
    embedding = synthetic.embedding(10, (0, 0))
    with pytest.raises(UserError, match="run psmt-viz tsne again"):
        draw_tsne(replace(embedding, pixels=embedding.pixels.iloc[:0]))
