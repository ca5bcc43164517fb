"""Images of a data set beside their labels."""

import numpy as np
import pytest

from psmt_viz.errors import UserError
from psmt_viz.figures import class_colors, draw_sheet
from tests.figures.every import pairs
from tests.figures.synthetic import SCENES


def test_every_image_stands_beside_its_label_in_the_class_colours():
    shown = pairs(5)
    figure = draw_sheet(shown, SCENES)
    filled = [ax for ax in figure.axes if ax.images]
    assert len(filled) == 10
    for (name, (image, label)), left, right in zip(shown.items(), filled[::2], filled[1::2], strict=True):
        assert left.get_title(loc="left") == name
        np.testing.assert_array_equal(left.images[0].get_array(), image)
        drawn = right.images[0].get_array()
        np.testing.assert_array_equal(drawn.filled(255), label)
    legend = figure.legends[0]
    present = np.unique([label for _, label in shown.values()])
    assert [text.get_text() for text in legend.get_texts()] == [*(SCENES[i] for i in present if i != 255), "no class"]
    assert len(class_colors(len(SCENES))) == len(SCENES)


def test_nothing_to_draw():
    with pytest.raises(UserError, match="images to draw, got none"):
        draw_sheet({}, SCENES)
