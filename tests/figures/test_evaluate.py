from __future__ import annotations

import numpy as np
import pytest
from find_colors import contrast

from psmt_viz.errors import UserError
from psmt_viz.figures import draw_class_iou, draw_confusion, style
from psmt_viz.results import Evaluation

from . import synthetic

HAND = Evaluation(
    classes=("a", "b_$", "c"),
    confusion={
        "student": np.array([[8, 2, 0], [0, 0, 0], [0, 1, 999]]),
        "teacher1": np.eye(3, dtype=np.int64),
    },
)


def cells(ax):
    return {
        (int(text.get_position()[1]), int(text.get_position()[0])): text.get_text()
        for text in ax.texts
        if text.get_text()
    }


def test_confusion_is_in_percent_of_the_truth():
    ax = draw_confusion(HAND)
    assert cells(ax) == {(0, 0): "80", (0, 1): "20", (2, 1): "<1", (2, 2): ">99"}
    (picture,) = ax.collections
    assert picture.get_clim() == (0, 100)
    assert picture.get_array().reshape(3, 3)[0, 1] == pytest.approx(20)
    assert picture.get_array().reshape(3, 3).mask[1].all()
    assert len(ax.patches) == 1  # the hatched row of a class without pixels
    # IoU: 8/10, 0/3, 999/1000
    assert ax.get_title() == f"student: mIoU {100 * (0.8 + 0 + 0.999) / 3:.2f} %"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", r"b_\$", "c"]


def test_confusion_prefers_the_ensemble_and_takes_any_role():
    result = synthetic.evaluation()
    assert draw_confusion(result).get_title().startswith("ensemble")
    assert draw_confusion(result, "teacher2").get_title().startswith("teacher 2")
    with pytest.raises(UserError, match=r"student, teacher1, got 'ensemble'"):
        draw_confusion(HAND, "ensemble")


@pytest.mark.parametrize("dark", [False, True], ids=["white", "dark"])
def test_confusion_numbers_stand_out_from_their_cells(dark):
    shares = np.arange(1, 10)  # every tenth of the map
    matrix = np.diag(shares) + np.eye(9, k=1, dtype=int) * (10 - shares)[:, None]
    with style(dark=dark):
        ax = draw_confusion(Evaluation(classes=tuple("abcdefghi"), confusion={"student": matrix}))
    (picture,) = ax.collections
    grounds = picture.to_rgba(picture.get_array().reshape(9, 9))
    assert len(ax.texts) == 17
    for text in ax.texts:
        column, row = (int(place) for place in text.get_position())
        assert contrast(grounds[row, column], text.get_color()) > 4.5


@pytest.mark.parametrize("classes", [synthetic.SCENES, synthetic.CAMVID, synthetic.VOC], ids=len)
def test_confusion_numbers_fit_their_cells_and_are_readable(classes):
    ax = draw_confusion(synthetic.evaluation(classes))
    ax.figure.draw_without_rendering()
    side = ax.get_window_extent().width / len(classes)
    for text in ax.texts:
        assert text.get_fontsize() >= 5
        assert text.get_window_extent().width < side
    page = ax.figure.bbox
    for label in [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.title]:
        box = label.get_window_extent()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1


def test_class_iou_has_a_marker_a_class_and_role():
    ax = draw_class_iou(HAND)
    student, teacher = (line for line in ax.lines if len(line.get_xdata()) == 3)
    np.testing.assert_allclose(student.get_xdata(), [80, 0, 99.9])
    np.testing.assert_allclose(teacher.get_xdata(), [100, 100, 100])
    assert (student.get_ydata() != teacher.get_ydata()).all()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["student (mIoU 59.97 %)", "teacher 1 (mIoU 100.00 %)"]


def test_an_absent_class_has_no_marker():
    result = Evaluation(classes=("a", "b"), confusion={"student": np.array([[5, 0], [0, 0]])})
    (marks, _mean) = draw_class_iou(result).lines
    assert np.isnan(marks.get_xdata()[1])
