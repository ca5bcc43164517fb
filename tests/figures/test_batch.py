from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from psmt_viz.errors import UserError
from psmt_viz.figures import class_colors, draw_batch

from . import synthetic


def test_rows_columns_titles_and_legend():
    batch = synthetic.batch(3)
    figure = draw_batch(batch)
    assert [ax.get_title() for ax in figure.axes[:5]] == [*batch.columns, "confidence"]
    assert sum(bool(ax.images) for ax in figure.axes) == 15
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    present = np.unique(batch.columns["truth"])
    assert names == [*(batch.classes[i] for i in present if i != 255), "no class"]


def test_at_most_eight_images():
    figure = draw_batch(replace(synthetic.batch(11, (8, 8)), confidence=None))
    assert len(figure.axes) == 8 * 4


def test_classes_have_their_colours_and_255_is_hatched():
    batch = synthetic.batch(1)
    ax = draw_batch(batch).axes[2]
    (picture,) = ax.images
    assert to_hex(picture.cmap(picture.norm(3))).upper() == class_colors(21)[3]
    np.testing.assert_array_equal(picture.get_array().mask, batch.columns["truth"][0] == 255)
    assert ax.patch.get_hatch() and ax.patch.get_visible()
    assert picture.cmap(np.ma.masked_all(1))[0, 3] == 0


def test_images_without_labels_need_no_legend():
    batch = synthetic.batch(2)
    figure = draw_batch(replace(batch, columns={"weak": batch.columns["weak view"]}, confidence=None))
    figure.draw_without_rendering()
    assert not figure.legends


def test_no_columns_is_an_error():
    with pytest.raises(UserError, match="at least one column"):
        draw_batch(replace(synthetic.batch(1), columns={}))
