from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from psmt_viz.errors import UserError
from psmt_viz.figures import draw_miou, draw_ramp_up, draw_training
from psmt_viz.figures.style import ROLE_COLORS, ROLE_LINES

from . import synthetic


def lines(ax):
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_ramp_up_is_the_papers_gaussian():
    drawn = lines(draw_ramp_up(synthetic.curves()))
    own, other = drawn["Gaussian (paper)"], drawn["cosine (published code), not used"]
    steps, values = own.get_data()
    expected = [1.5 * math.exp(-5 * (1 - min(step / 480, 1)) ** 2) for step in steps]
    np.testing.assert_allclose(values, expected)
    assert steps[0] == 0 and steps[-1] == 1200 and 480 in steps
    half = np.flatnonzero(other.get_xdata() == 240)
    np.testing.assert_allclose(other.get_ydata()[half], 0.75)
    assert other.get_linestyle() == "--" and other.get_linewidth() < own.get_linewidth()


@pytest.mark.parametrize("change", [{"kind": "cosine"}, {"length": 0}, {"total_steps": 100}, {"final_weight": 0.0}])
def test_every_ramp_draws(change):
    curves = synthetic.curves()
    ax = draw_ramp_up(replace(curves, ramp=curves.ramp | change))
    ax.figure.draw_without_rendering()
    solid = "cosine (published code)" if "kind" in change else "Gaussian (paper)"
    assert lines(ax)[solid].get_linestyle() == "-"


def test_a_supervised_run_has_no_ramp():
    with pytest.raises(UserError, match="supervised run base; choose another run"):
        draw_ramp_up(synthetic.curves(name="base", supervised=True))


def test_miou_of_one_run_in_percent():
    curves = synthetic.curves(5)
    ax = draw_miou([curves])
    drawn = lines(ax)
    assert list(drawn) == ["ensemble", "teacher 2", "teacher 1", "student"]
    np.testing.assert_allclose(drawn["ensemble"].get_ydata(), 100 * curves.metrics["miou_ensemble"])
    assert not ax.collections
    assert drawn["teacher 1"].get_linewidth() < drawn["student"].get_linewidth()
    assert drawn["student"].get_color() == ROLE_COLORS["student"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(drawn)


def test_runs_of_one_name_are_their_mean_in_a_band():
    runs = [synthetic.curves(4, seed=seed) for seed in range(3)]
    ax = draw_miou(runs)
    scores = 100 * np.stack([run.metrics["miou_student"] for run in runs])
    np.testing.assert_allclose(lines(ax)["student"].get_ydata(), scores.mean(axis=0))
    corners = ax.collections[-1].get_paths()[0].vertices[:, 1]
    assert corners.min() == pytest.approx(scores.min()) and corners.max() == pytest.approx(scores.max())
    assert len(ax.collections) == 2  # ensemble and student


def test_a_supervised_run_has_the_student_only():
    drawn = lines(draw_miou([synthetic.curves(4), synthetic.curves(4, name="base_$", supervised=True)]))
    assert list(drawn) == ["scenes 1_8, ensemble", "scenes 1_8, student", r"base_\$, student"]
    assert len({line.get_color() for line in drawn.values()}) == 2
    assert list(lines(draw_miou([synthetic.curves(4, supervised=True)]))) == ["student"]


def test_no_scores_is_an_error():
    with pytest.raises(UserError, match="runs with scores"):
        draw_miou([])
    with pytest.raises(UserError, match="runs with scores"):
        draw_miou([synthetic.curves(0)], ax=Figure().add_subplot())


@pytest.mark.parametrize("epochs", [1, 2, 30])
@pytest.mark.parametrize("supervised", [False, True])
def test_training_draws_what_was_measured(epochs, supervised):
    figure = draw_training(synthetic.curves(epochs, supervised=supervised))
    figure.draw_without_rendering()
    losses, weights, confident, scores, rates = figure.axes
    assert len(losses.lines) == (1 if supervised else 2)
    assert len(scores.lines) == (1 if supervised else 4)
    assert len(rates.lines) == 1
    assert len(weights.lines) == len(confident.lines) == (0 if supervised else 1)
    assert [text.get_text() for text in confident.texts] == (["not measured"] if supervised else [])
    if epochs == 1:
        assert {line.get_marker() for ax in figure.axes for line in ax.lines} == {"o"}
        assert all(float(tick).is_integer() for tick in scores.get_xticks())


def test_training_before_the_first_epoch_and_without_columns_draws():
    draw_training(synthetic.curves(0)).draw_without_rendering()
    curves = synthetic.curves(3)
    figure = draw_training(replace(curves, metrics=curves.metrics[["epoch", "loss_sup"]]))
    figure.draw_without_rendering()
    assert len(figure.axes[0].lines) == 1


def test_roles_differ_in_colour_and_line():
    assert len(set(ROLE_COLORS.values())) == len({str(line) for line in ROLE_LINES.values()}) == 4
