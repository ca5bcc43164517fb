from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from psmt_viz.errors import UserError
from psmt_viz.figures import draw_miou, draw_ramp_up, draw_training
from psmt_viz.figures.curves_words import Fall, fall_after_warmup
from psmt_viz.figures.style import DARK_PAPER, role_color, role_line, style
from psmt_viz.results import ROLES

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


@pytest.mark.parametrize("length", [100, 480, 1100, 1200])
def test_neither_legend_nor_mark_hides_the_ramp(length):
    curves = synthetic.curves()
    ax = draw_ramp_up(replace(curves, ramp=curves.ramp | {"length": length}))
    ax.figure.draw_without_rendering()
    legend = ax.get_legend().get_window_extent()
    assert legend.y0 >= ax.bbox.y1 and legend.x0 >= 0 and legend.x1 <= ax.figure.bbox.x1
    (mark,) = ax.texts
    assert mark.get_text().strip() == f"{length:,}"
    own = lines(ax)["Gaussian (paper)"]
    box = mark.get_window_extent()
    assert not any(box.contains(x, y) for x, y in ax.transData.transform(own.get_xydata()))
    assert box.x1 <= ax.figure.bbox.x1


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
    assert drawn["student"].get_color() == role_color("student")
    assert ax.get_legend().get_title().get_text() == ""
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(drawn)


def bounds(collection):
    """Lowest and highest value of a band at each epoch."""
    x, y = collection.get_paths()[0].vertices.T
    return {epoch: (y[x == epoch].min(), y[x == epoch].max()) for epoch in np.unique(x)}


def test_runs_of_one_name_are_their_mean_in_a_band():
    runs = [synthetic.curves(4, seed=seed) for seed in range(3)]
    ax = draw_miou(runs)
    scores = 100 * np.stack([run.metrics["miou_student"] for run in runs])
    np.testing.assert_allclose(lines(ax)["student"].get_ydata(), scores.mean(axis=0))
    expected = dict(zip(range(1, 5), zip(scores.min(axis=0), scores.max(axis=0), strict=True), strict=True))
    found = bounds(ax.collections[-1])
    assert found.keys() == expected.keys()
    for epoch, ends in expected.items():
        assert found[epoch] == pytest.approx(ends)
    assert len(ax.collections) == 2  # ensemble and student
    assert ax.get_legend().get_title().get_text() == "mean and range of 3 seeds"


def test_a_mean_over_fewer_runs_stands_where_some_are_shorter():
    runs = [synthetic.curves(epochs, seed=epochs) for epochs in (2, 5)]
    ax = draw_miou([*runs, synthetic.curves(0)])
    drawn = lines(ax)["ensemble"]
    scores = [100 * run.metrics["miou_ensemble"].to_numpy() for run in runs]
    np.testing.assert_array_equal(drawn.get_xdata(), [1, 2, 3, 4, 5])
    np.testing.assert_allclose(drawn.get_ydata(), [*(scores[0] + scores[1][:2]) / 2, *scores[1][2:]])
    assert ax.get_legend().get_title().get_text() == "mean and range of 2 seeds"  # one has no epoch yet


def test_several_names_have_each_a_colour_and_tell_their_seeds():
    runs = [*(synthetic.curves(4, seed=seed) for seed in range(2)), synthetic.curves(4, name="b_$", supervised=True)]
    ax = draw_miou(runs)
    drawn = lines(ax)
    assert list(drawn) == ["scenes 1_8 (2 seeds), ensemble", "scenes 1_8 (2 seeds), student", r"b_\$, student"]
    assert [line.get_marker() for line in drawn.values()] == ["o", "o", "s"]
    assert len({line.get_color() for line in drawn.values()}) == 2
    assert ax.get_legend().get_title().get_text() == ""
    assert list(lines(draw_miou([synthetic.curves(4, supervised=True)]))) == ["student"]


@pytest.mark.parametrize("name", ["base", "a-run-of-" + 14 * "many-", 90 * "x"])
@pytest.mark.parametrize("epochs", [1, 20])
def test_the_legend_of_several_names_is_below_and_whole(name, epochs):
    runs = [synthetic.curves(epochs, name=f"{name}{number}", seed=number) for number in range(5)]
    ax = draw_miou(runs)
    ax.figure.draw_without_rendering()
    legend, label = ax.get_legend().get_window_extent(), ax.xaxis.label.get_window_extent()
    assert 0 <= legend.x0 < legend.x1 <= ax.figure.bbox.x1 and 0 <= legend.y0 < legend.y1 <= label.y0
    assert ax.bbox.height > 0.3 * ax.figure.bbox.height
    assert len({line.get_marker() for line in ax.lines}) == 5
    texts = [text.get_text().replace("\n", "") for text in ax.get_legend().get_texts()]
    assert texts[0] == f"{name}0, ensemble"


@pytest.mark.parametrize(
    ("epochs", "label"), [(30, "images seen (thousands), 16 a step"), (2, "images seen, 16 a step")]
)
def test_the_images_stand_above_the_epochs(epochs, label):
    ax = draw_miou([synthetic.curves(epochs), synthetic.curves(epochs, name="other")])
    ax.figure.draw_without_rendering()
    (above,) = ax.child_axes
    assert above.get_xlabel() == label
    scale = 40 * 16 / (1000 if "thousands" in label else 1)  # steps of an epoch, images of a step
    np.testing.assert_allclose(above.get_xlim(), scale * np.array(ax.get_xlim()))
    for tick in above.get_xticks():
        # The same point of the paper is the epoch at which so many images were seen.
        x = above.transData.transform((tick, 0))[0]
        assert x == pytest.approx(ax.transData.transform((tick / scale, 0))[0])


@pytest.mark.parametrize(
    "changes",
    [
        [{"images_per_step": 0}],
        [{}, {"images_per_step": 8}],
        [{}, {"metrics": synthetic.curves(5).metrics.assign(step=np.arange(1, 6) * 20)}],
        [{"metrics": synthetic.curves(5).metrics.drop(columns="step")}],
        # The same images an epoch, but not a step: the label could not say how many.
        [{}, {"images_per_step": 8, "metrics": synthetic.curves(5).metrics.assign(step=np.arange(1, 6) * 80)}],
    ],
)
def test_without_one_number_of_images_the_axis_is_left_out(changes):
    runs = [replace(synthetic.curves(5), **change) for change in changes]
    assert draw_miou(runs).child_axes == []


def test_images_are_those_of_the_runs_that_have_epochs():
    assert len(draw_miou([synthetic.curves(5), synthetic.curves(0, supervised=True)]).child_axes) == 1


@pytest.mark.parametrize(("falling", "lower_right"), [(False, True), (True, False)])
def test_the_legend_leaves_the_lines_free(falling, lower_right):
    curves = synthetic.curves(30)
    if falling:
        names = [f"miou_{role}" for role in ROLES]
        curves = replace(
            curves, metrics=curves.metrics.assign(**{n: curves.metrics[n].to_numpy()[::-1] for n in names})
        )
    ax = draw_miou([curves])
    ax.figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    for line in ax.lines:
        assert not any(box.contains(x, y) for x, y in ax.transData.transform(line.get_xydata()))
    assert (box.x0 > ax.bbox.x0 + ax.bbox.width / 2 and box.y1 < ax.bbox.y0 + ax.bbox.height / 2) == lower_right


@pytest.mark.parametrize("draw", [draw_ramp_up, lambda run: draw_miou([run]), draw_training])
def test_greys_and_text_are_legible_on_dark_paper(draw):
    with style(dark=True):
        drawn = draw(synthetic.curves(supervised=draw is draw_training))
        figure = getattr(drawn, "figure", drawn)
        shown = [*figure.findobj(Text), *figure.findobj(Line2D)]
        colors = {to_hex(part.get_color()) for part in shown if part.get_visible()}
        assert to_hex(figure.get_facecolor()) == DARK_PAPER.lower()
    # Rec. 709 luminance; the paper's is 0.09.
    light = [np.dot(to_rgb(color), [0.2126, 0.7152, 0.0722]) for color in colors]
    assert len(light) >= 3 and min(light) > 0.15


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
    assert len(set(map(role_color, ROLES))) == len({str(role_line(role)) for role in ROLES}) == 4


def test_images_follow_epochs_of_other_lengths():
    """A warm-up of 20 steps, then epochs of 40: 320 images by the first epoch, 960 by the second."""
    metrics = synthetic.curves(4).metrics.assign(step=[20, 60, 100, 140])
    ax = draw_miou([replace(synthetic.curves(4), metrics=metrics)])
    ax.figure.draw_without_rendering()
    (above,) = ax.child_axes
    places = [above.transData.transform((images / 1000, 0))[0] for images in (160, 320, 640, 960, 2240)]
    epochs = [ax.transData.inverted().transform((place, 0))[0] for place in places]
    assert epochs == pytest.approx([0.5, 1, 1.5, 2, 4])


def falling(scores, warmup=2):
    metrics = synthetic.curves(len(scores)).metrics.assign(miou_ensemble=scores)
    metrics.loc[: warmup - 1, "loss_unsup"] = np.nan
    curves = synthetic.curves(len(scores))
    # Three epochs of ramp-up.
    return replace(curves, metrics=metrics, ramp=curves.ramp | {"length": 3 * 40})


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.3, 0.5, 0.4, 0.2, 0.4, 0.5, 0.6], (4, 0.5, 0.2, 6, 7)),
        ([0.3, 0.5, 0.4, 0.2, 0.4, 0.45], (4, 0.5, 0.2, None, 6)),
        ([0.3, 0.5, 0.45, 0.5, 0.5, 0.2], None),  # after the ramp-up: it has another cause
        ([0.3, 0.5, 0.35, 0.5, 0.5, 0.2], (3, 0.5, 0.35, 4, 6)),
        ([0.3, 0.5, 0.41, 0.45, 0.6], None),  # less than a fifth
        ([0.6, 0.5, 0.45, 0.6], None),
    ],
)
def test_a_fall_after_the_warm_up_is_found(scores, expected):
    found = fall_after_warmup(falling(scores))
    assert found == (
        None
        if expected is None
        else Fall(**dict(zip(("epoch", "before", "lowest", "back", "last"), expected, strict=True)))
    )
    if found is not None:
        assert f"falls from 50.0 to {100 * expected[2]:.1f} % in epoch {expected[0]}" in found.words()
        assert (f"is back in epoch {expected[3]}" if expected[3] else "is not back by epoch 6") in found.words()


def test_without_teachers_or_a_warm_up_nothing_falls():
    assert fall_after_warmup(falling([0.5, 0.2, 0.5], warmup=0)) is None
    assert fall_after_warmup(falling([0.5, 0.2, 0.5], warmup=3)) is None
    assert fall_after_warmup(synthetic.curves(5, supervised=True)) is None


def test_a_fall_is_named_where_it_is():
    def notes(*runs):
        return [text for text in draw_miou(runs).texts if "warm-up" in text.get_text()]

    (note,) = notes(falling([0.3, 0.5, 0.4, 0.2, 0.4, 0.5, 0.6, 0.6, 0.6]))
    assert note.xy == (4, pytest.approx(20)) and note.get_ha() == "left"
    (note,) = notes(falling([0.3, 0.5, 0.4, 0.4, 0.2]))
    assert note.xy == (5, pytest.approx(20)) and note.get_ha() == "right"
    assert notes(falling([0.3, 0.5, 0.45, 0.6])) == []
    assert notes(*[falling([0.3, 0.5, 0.2, 0.6])] * 2) == []
