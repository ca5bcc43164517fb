from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from psmt_viz.errors import UserError
from psmt_viz.figures import draw_miou
from psmt_viz.figures.style import DARK_PAPER, style
from psmt_viz.figures.teachers import draw_teachers

from . import synthetic

COLUMNS = ["teacher_distance", "teacher_disagreement"]


def changed(curves, **columns):
    return replace(curves, metrics=curves.metrics.assign(**columns))


def without(curves, *columns):
    return replace(curves, metrics=curves.metrics.drop(columns=list(columns)))


def test_both_columns_in_percent_over_the_epochs():
    curves = synthetic.curves(12)
    figure = draw_teachers([curves])
    assert figure.get_figwidth() * 25.4 == pytest.approx(174)
    for ax, column in zip(figure.axes, COLUMNS, strict=True):
        (line,) = ax.lines
        np.testing.assert_array_equal(line.get_xdata(), curves.metrics["epoch"])
        np.testing.assert_allclose(line.get_ydata(), 100 * curves.metrics[column])
        assert (ax.get_yscale(), ax.get_xlabel(), ax.get_legend(), len(ax.collections)) == ("log", "epoch", None, 0)
    assert "weights (% of their norm)" in figure.axes[0].get_title()
    assert "disagree (%)" in figure.axes[1].get_title()


def test_epochs_without_a_measurement_have_no_point():
    curves = changed(synthetic.curves(5), teacher_disagreement=[np.nan, np.nan, 0.3, 0.2, 0.1])
    distance, disagreement = draw_teachers([curves]).axes
    assert disagreement.lines[0].get_xydata().tolist() == [[3, 30], [4, 20], [5, 10]]
    assert len(distance.lines[0].get_xdata()) == 5
    assert disagreement.get_xlim() == distance.get_xlim()


def test_seeds_are_their_mean_in_a_band():
    runs = [synthetic.curves(6, seed=seed) for seed in range(3)]
    for ax, column in zip(draw_teachers(runs).axes, COLUMNS, strict=True):
        values = 100 * np.stack([run.metrics[column] for run in runs])
        np.testing.assert_allclose(ax.lines[0].get_ydata(), values.mean(axis=0))
        x, y = ax.collections[0].get_paths()[0].vertices.T
        for epoch in range(1, 7):
            ends = y[x == epoch]
            assert (ends.min(), ends.max()) == pytest.approx(
                (values.min(axis=0)[epoch - 1], values[:, epoch - 1].max())
            )
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mean and range of 3 seeds"]


def test_names_have_the_colours_that_they_have_in_the_curves():
    runs = [synthetic.curves(6, name="base", supervised=True), *(synthetic.curves(6, seed=seed) for seed in range(2))]
    runs.append(synthetic.curves(6, name="b_$"))
    expected = {line.get_label().split(", ")[0]: line.get_color() for line in draw_miou(runs).lines}
    for ax in draw_teachers(runs).axes:
        drawn = {line.get_label(): line.get_color() for line in ax.lines}
        assert list(drawn) == ["scenes 1_8 (2 seeds)", r"b_\$"]  # the supervised run has no teachers
        assert drawn.items() <= expected.items()
        assert [text.get_text() for text in ax.get_legend().get_texts()] == list(drawn)


def test_equal_teachers_are_at_a_zero_of_their_own():
    curves = changed(synthetic.curves(3), teacher_distance=[0.2, 0.05, 0.0])
    ax = draw_teachers([curves]).axes[0]
    x, y = ax.lines[0].get_xydata().T
    assert (x.tolist(), y[:2].tolist()) == ([1, 2, 3], [20, 5])
    ax.figure.draw_without_rendering()
    labels = dict(zip(ax.get_yticks(), (text.get_text() for text in ax.get_yticklabels()), strict=True))
    assert 0 < y[2] < 5 and labels[y[2]] == "0"
    none = draw_teachers([changed(curves, teacher_distance=0.0)])
    none.draw_without_rendering()
    assert len(none.axes[0].lines[0].get_xdata()) == 3


@pytest.mark.parametrize("missing", COLUMNS)
def test_a_panel_without_measurements_says_so(missing):
    figure = draw_teachers([without(synthetic.curves(4), missing)])
    figure.draw_without_rendering()
    for ax, column in zip(figure.axes, COLUMNS, strict=True):
        assert [text.get_text() for text in ax.texts] == (["not measured"] if column == missing else [])
        assert len(ax.lines) == (column != missing)
        assert ax.yaxis.get_visible() == (column != missing)


def test_a_seed_of_before_the_column_does_not_count():
    runs = [synthetic.curves(4, seed=0), without(synthetic.curves(4, seed=1), "teacher_distance")]
    distance, disagreement = draw_teachers(runs).axes
    np.testing.assert_allclose(distance.lines[0].get_ydata(), 100 * runs[0].metrics["teacher_distance"])
    assert (len(distance.collections), len(disagreement.collections)) == (0, 1)
    assert distance.get_legend() is None


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [synthetic.curves(3, supervised=True)],
        [synthetic.curves(0)],
        [without(synthetic.curves(3), *COLUMNS)],
    ],
)
def test_nothing_to_compare_is_an_error(runs):
    with pytest.raises(UserError, match="runs whose two teachers were compared, got none; choose a run with teachers"):
        draw_teachers(runs)


def test_one_epoch_is_a_marker():
    figure = draw_teachers([synthetic.curves(1)])
    figure.draw_without_rendering()
    assert [ax.lines[0].get_marker() for ax in figure.axes] == ["o", "o"]


def test_on_dark_paper():
    with style(dark=True):
        figure = draw_teachers([without(synthetic.curves(4), "teacher_distance")])
    assert to_hex(figure.get_facecolor()) == DARK_PAPER.lower()
    assert to_hex(figure.axes[0].texts[0].get_color()) not in ("#000000", "#808080")
