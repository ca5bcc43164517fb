from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import LogNorm, to_hex

from psmt_viz.errors import UserError
from psmt_viz.figures import draw_closeup
from psmt_viz.figures.kinds import look
from psmt_viz.figures.shares import percent
from psmt_viz.figures.style import FLIP_COLOR

from . import synthetic


def artist(figure, gid):
    (found,) = [item for ax in figure.axes for item in (*ax.images, *ax.collections) if item.get_gid() == gid]
    return found


def panels(figure):
    return [ax for ax in figure.axes if "flipped (" in ax.get_title(loc="left")]


def test_each_flipped_pixel_is_a_red_mark_where_it_is():
    result = synthetic.closeup()
    figure = draw_closeup(result)
    for kind in synthetic.KINDS:
        marks = artist(figure, f"flipped {kind}")
        rows, columns = np.nonzero(result.flipped(kind))
        np.testing.assert_array_equal(marks.get_offsets(), np.column_stack([columns, rows]))
        assert to_hex(marks.get_facecolor()[0]).upper() == FLIP_COLOR
        # Never too small to be printed: 1 pt at least.
        assert marks.get_sizes()[0] >= 1
    assert len(artist(figure, "flipped cutout").get_offsets()) == 3 * synthetic.KINDS.index("cutout")


def test_titles_hold_count_and_share_in_the_order_of_every_figure():
    result = synthetic.closeup(tuple(reversed(synthetic.KINDS)))
    correct = int((result.prediction == result.truth).sum())
    wanted = []
    for kind in synthetic.KINDS:
        count = int(result.flipped(kind).sum())
        wanted.append(f"{look(kind).title}\n{count} flipped ({percent(count / correct, 3)})")
    assert [ax.get_title(loc="left") for ax in panels(draw_closeup(result))] == wanted


@pytest.mark.parametrize("peak", [2, 1000])
def test_all_magnitudes_share_one_scale_that_is_logarithmic_for_peaks(peak):
    result = synthetic.closeup(("vat", "tvat", "cutout"))
    flat = np.ones((12, 16), np.float32)
    spike, holes = flat.copy(), flat.copy()
    spike[3, 4], holes[:6] = peak, 0
    result = replace(result, magnitude={"vat": flat, "tvat": spike, "cutout": holes})
    figure = draw_closeup(result)
    pictures = [artist(figure, f"magnitude {kind}") for kind in result.moved]
    assert len({id(picture.norm) for picture in pictures}) == 1
    norm = pictures[0].norm
    assert isinstance(norm, LogNorm) == (peak == 1000)
    assert norm.vmax == peak and norm.vmin == (1 if peak == 1000 else 0)
    for picture, kind in zip(pictures, result.moved, strict=True):
        np.testing.assert_array_equal(picture.get_array(), result.magnitude[kind])
        assert picture.get_extent() == [-0.5, 127.5, 95.5, -0.5]
    # No perturbation has the lowest colour, not none.
    assert pictures[2].to_rgba(pictures[2].get_array())[0, 0] == pytest.approx(pictures[2].cmap(0))


def test_the_first_row_shows_the_image_and_names_the_classes_present():
    result = synthetic.closeup(("vat",))
    image, truth, prediction, key, *_ = draw_closeup(result).axes
    assert [ax.get_title() for ax in (image, truth, prediction)] == ["image", "truth", "prediction"]
    np.testing.assert_array_equal(image.images[0].get_array(), result.image)
    np.testing.assert_array_equal(prediction.images[0].get_array(), result.prediction)
    assert truth.images[0].get_array().mask.sum() == (result.truth == 255).sum() > 0
    texts = [text.get_text() for text in key.get_legend().get_texts()]
    assert texts == ["correct pixel, now wrong", "background", "triangle", "no class"]


@pytest.mark.parametrize("size", [(64, 128), (96, 96), (120, 90), (200, 60)])
def test_all_kinds_fit_a_page_and_nothing_is_cut_or_covered(size):
    result = synthetic.closeup(size=size, classes=synthetic.CAMVID)
    result.truth[3:14] = np.arange(11)[:, None]
    figure = draw_closeup(result)
    width, height = 25.4 * figure.get_size_inches()
    assert width == pytest.approx(174) and height <= 200
    figure.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    assert all(box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y0 >= -1 for box in boxes)
    legend = figure.axes[3].get_legend().get_window_extent()
    bar = next(ax for ax in figure.axes if "place of the feature map" in ax.get_xlabel())
    assert legend.y0 >= bar.get_tightbbox().y1 - 1 and legend.x1 <= figure.bbox.x1 + 1


def test_the_title_says_what_was_used():
    title = draw_closeup(synthetic.closeup(("vat",)))._suptitle.get_text()
    assert title == "0016   ·   eps = 2 (0.32 % of ‖z‖) per image   ·   judged by the student"
    assert draw_closeup(replace(synthetic.closeup(("vat",)), asked={}, measured={}))._suptitle.get_text() == "0016"


def test_an_image_without_correct_pixels_draws_and_one_without_kinds_does_not():
    result = synthetic.closeup(("vat",))
    figure = draw_closeup(replace(result, truth=np.full_like(result.truth, 255)))
    assert panels(figure)[0].get_title(loc="left") == "VAT\n0 flipped (no correct pixel)"
    with pytest.raises(UserError, match="kinds of perturbation, got none"):
        draw_closeup(replace(result, moved={}, magnitude={}))
