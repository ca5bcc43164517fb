from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from psmt_viz.errors import UserError
from psmt_viz.figures import class_colors, draw_tsne, draw_tsne_panel
from psmt_viz.figures.style import FLIP_COLOR

from . import synthetic


def collections(ax, gid):
    return [item for item in ax.collections if item.get_gid() == gid]


def test_stars_are_the_flipped_pixels_and_lie_on_top():
    embedding = synthetic.embedding(200, (7, 11))
    figure = draw_tsne(embedding)
    for ax, panel, count in zip(figure.axes, embedding.panels, (0, 7, 11), strict=True):
        stars = [*collections(ax, "flipped-both"), *collections(ax, "flipped-alone")]
        assert len(stars) == 2
        wrong = embedding.pixels[embedding.flipped(panel)]
        assert len(wrong) == count
        places = np.concatenate([np.asarray(item.get_offsets()) for item in stars])
        expected = wrong[[f"x_{panel}", f"y_{panel}"]].to_numpy()
        np.testing.assert_array_equal(places[np.lexsort(places.T)], expected[np.lexsort(expected.T)])
        points = [item for item in ax.collections if item not in stars]
        assert all(star.zorder > item.zorder for star in stars for item in points)
        assert sum(len(item.get_offsets()) for item in points) == len(embedding.pixels) - count
        assert all(item.get_rasterized() for item in points) and not any(star.get_rasterized() for star in stars)


def test_a_star_of_one_perturbation_alone_is_hollow():
    """By a loop over the pixels, of which two are flipped by both."""
    embedding = synthetic.embedding(200, (7, 11))
    common = np.flatnonzero(embedding.flipped("vat"))[:2]
    for name in ("vat", "tvat"):
        column = embedding.pixels.columns.get_loc(f"pred_{name}")
        embedding.pixels.iloc[common, column] = (embedding.pixels["label"].iloc[common] + 1).to_numpy()
    rows = embedding.pixels.to_dict("records")
    wrong = [(row["pred_vat"] != row["label"], row["pred_tvat"] != row["label"]) for row in rows]
    counts = {"both": wrong.count((True, True)), "vat": wrong.count((True, False)), "tvat": wrong.count((False, True))}
    assert counts["both"] >= 2 and counts["vat"] != counts["tvat"]
    figure = draw_tsne(embedding)
    for ax, panel in zip(figure.axes, embedding.panels, strict=True):
        (full,), (hollow,) = (collections(ax, f"flipped-{name}") for name in ("both", "alone"))
        expected = {
            "both": [(row[f"x_{panel}"], row[f"y_{panel}"]) for row, by in zip(rows, wrong, strict=True) if all(by)],
            "alone": [
                (row[f"x_{panel}"], row[f"y_{panel}"])
                for row, (vat, tvat) in zip(rows, wrong, strict=True)
                if vat != tvat and {"vat": vat, "tvat": tvat}.get(panel)
            ],
        }
        assert [*map(tuple, hollow.get_offsets())] == expected["alone"]
        assert len(hollow.get_offsets()) == counts.get(panel, 0)
        if panel != "clean":
            assert [*map(tuple, full.get_offsets())] == expected["both"]
            assert to_hex(full.get_facecolor()[0]).upper() == FLIP_COLOR
            assert to_hex(hollow.get_facecolor()[0]) == "#ffffff"
            assert to_hex(hollow.get_edgecolor()[0]).upper() == FLIP_COLOR
            assert hollow.zorder > full.zorder
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[-2:] == [
        f"now wrong with both: {counts['both']}",
        f"with VAT alone: {counts['vat']}, with T-VAT alone: {counts['tvat']}",
    ]
    faces = [to_hex(handle.get_markerfacecolor()) for handle in figure.legends[0].legend_handles[-2:]]
    assert faces == [FLIP_COLOR.lower(), "#ffffff"]


def test_counts_that_are_close_read_as_close():
    titles = [ax.get_title() for ax in draw_tsne(synthetic.embedding(5000, (361, 363))).axes]
    assert "361 of 25,000 (1.44 %) flipped" in titles[1]
    assert "363 of 25,000 (1.45 %) flipped" in titles[2]


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
        "(a) original\n0 of 25,000 (0 %) flipped\n",
        "(b) + VAT\n36 of 25,000 (0.144 %) flipped\n95 % interval 0.090 to 0.210 %",
        "(c) + T-VAT\n41 of 25,000 (0.164 %) flipped\n",  # its interval is not known
    ]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names[:5] == ["background", "car", "dog", "person", "train"]
    assert len(names) == 7
    footer = figure.axes[1].get_xlabel()
    for part in (
        "eps = 2 (0.32 % of ‖z‖)",
        "decoder.2",
        "perplexity 30",
        "trustworthiness 0.973",
        "kNN recall 0.412",
        "frozen map",
        "Median move, of the map's longer side: VAT 0.0350 %, within the placement error (0.0400 %); "
        "T-VAT 0.0900 %, 0.050 % beyond it.",
    ):
        assert part in footer


@pytest.mark.parametrize("facts", [{}, {"eps": 2}, {"relative_norm": 0.1}, {"eps": "auto", "layer": None}])
def test_missing_facts_are_left_out(facts):
    figure = draw_tsne(replace(synthetic.embedding(20, (1, 1)), asked=facts, used={}, measured={}))
    assert "None" not in figure.axes[1].get_xlabel()
    assert ("eps" in figure.axes[1].get_xlabel()) == ("eps" in facts)


def test_there_is_room_for_the_words_on_classes_that_are_left_out():
    plain = synthetic.embedding()
    used = {**plain.used, "left_out": {f"class {number}": 1000 for number in range(12)}, "pixels": {"cat": 100}}
    figure = draw_tsne(replace(plain, used=used, asked={**plain.asked, "n_pixels": 25_000}))
    figure.draw_without_rendering()
    top = figure.bbox.height
    assert all(ax.title.get_window_extent().y1 <= top for ax in figure.axes)
    assert "class 11 (1,000)." in " ".join(ax.get_xlabel() for ax in figure.axes).replace("\n", " ")


def test_panels_share_square_limits_that_hold_every_point():
    embedding = synthetic.embedding(100)
    axes = draw_tsne(embedding).axes
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1
    (left, right), (bottom, top) = axes[0].get_xlim(), axes[0].get_ylim()
    assert right - left == pytest.approx(top - bottom)
    for panel in embedding.panels:
        assert embedding.pixels[f"x_{panel}"].between(left, right).all()
        assert embedding.pixels[f"y_{panel}"].between(bottom, top).all()
    assert all(len(ax.get_xticks()) == len(ax.get_yticks()) == 0 for ax in axes)


def test_many_stars_are_smaller_but_equal_in_all_panels():
    few, many = (draw_tsne(synthetic.embedding(1200, flips)) for flips in ((30, 36), (4000, 5000)))
    sizes = [{float(collections(ax, "flipped-both")[0].get_sizes()[0]) for ax in figure.axes} for figure in (few, many)]
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


def panels_of(embedding, **facts):
    return replace(embedding, measured=embedding.measured | facts)


def test_separate_maps_share_no_axes():
    embedding = panels_of(synthetic.embedding(50), layout="separate")
    embedding.pixels["x_tvat"] += 500  # a map of its own may lie anywhere
    axes = draw_tsne(embedding).axes
    assert axes[2].get_xlim() != axes[0].get_xlim()
    for ax, panel in zip(axes, embedding.panels, strict=True):
        assert embedding.pixels[f"x_{panel}"].between(*ax.get_xlim()).all()
        assert np.ptp(ax.get_xlim()) < 300
        assert np.ptp(ax.get_xlim()) == pytest.approx(np.ptp(ax.get_ylim()))
    assert "separate map" in axes[1].get_xlabel()


def test_arrows_go_from_where_a_flipped_pixel_was_to_where_it_is():
    embedding = synthetic.embedding(200, (7, 11))
    assert not [item for ax in draw_tsne(embedding).axes for item in ax.collections if "moves" in str(item.get_gid())]
    figure = draw_tsne(embedding, arrows=True)
    assert not collections(figure.axes[0], "flipped-moves")
    for ax, panel in zip(figure.axes[1:], ("vat", "tvat"), strict=True):
        (moves,) = collections(ax, "flipped-moves")
        wrong = embedding.pixels[embedding.flipped(panel)]
        np.testing.assert_allclose(moves.XY, wrong[["x_clean", "y_clean"]])
        np.testing.assert_allclose(moves.XY + np.c_[moves.U, moves.V], wrong[[f"x_{panel}", f"y_{panel}"]])
        assert to_hex(moves.get_facecolor()[0]).upper() == FLIP_COLOR
    assert "mean move" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_arrows_of_the_others_are_means_over_squares():
    embedding = synthetic.embedding(200, (7, 11))
    span = embedding.pixels["x_clean"].agg(np.ptp)
    embedding.pixels["x_vat"], embedding.pixels["y_vat"] = (
        embedding.pixels["x_clean"] + 0.1 * span,
        embedding.pixels["y_clean"],
    )
    (means,) = collections(draw_tsne(embedding, arrows=True).axes[1], "mean-moves")
    assert len(means.U) > 5
    np.testing.assert_allclose(means.U, 0.1 * span)
    np.testing.assert_allclose(means.V, 0, atol=1e-9)
    # By a loop: squares with 8 pixels or more that did not flip.
    pixels = embedding.pixels[~embedding.flipped("vat")]
    side = max(np.ptp(embedding.pixels["x_clean"]), np.ptp(embedding.pixels["y_clean"])) / 24
    cells = {}
    for x, y in pixels[["x_clean", "y_clean"]].to_numpy():
        cell = tuple(
            int((v - low) // side)
            for v, low in zip((x, y), embedding.pixels[["x_clean", "y_clean"]].min(), strict=True)
        )
        cells.setdefault(cell, []).append((x, y))
    expected = sorted(tuple(np.mean(points, axis=0)) for points in cells.values() if len(points) >= 8)
    np.testing.assert_allclose(sorted(map(tuple, means.XY.tolist())), expected)


def test_arrows_may_be_a_parameter_of_the_result():
    moves = collections(draw_tsne(panels_of(synthetic.embedding(50), arrows=True)).axes[1], "flipped-moves")
    assert len(moves) == 1
    with pytest.raises(UserError, match="--layout frozen or joint with --arrows, got separate maps"):
        draw_tsne(panels_of(synthetic.embedding(50), layout="separate"), arrows=True)


@pytest.mark.parametrize(
    ("kinds", "rows"),
    [(("random",), [2]), (("pgd", "vat", "random"), [2, 2]), (("pgd", "vat", "random", "dropout", "cutout"), [3, 3])],
)
def test_other_panels_stand_in_their_order_in_rows_of_two_or_three(kinds, rows):
    figure = draw_tsne(synthetic.embedding(30, dict.fromkeys(kinds, 2)))
    shown = [ax for ax in figure.axes if ax.get_visible()]
    titles = [ax.get_title().splitlines()[0] for ax in shown]
    names = {"random": "random direction", "pgd": "PGD", "vat": "VAT"}
    expected = ["original", *(f"+ {names.get(kind, kind)}" for kind in kinds)]
    assert titles == [f"({letter}) {title}" for letter, title in zip("abcdef", expected, strict=False)]
    tops = [round(ax.get_position().y1, 3) for ax in shown]
    assert [tops.count(top) for top in dict.fromkeys(tops)] == rows


def test_one_perturbation_has_full_stars_alone():
    figure = draw_tsne(synthetic.embedding(30, {"random": 4}))
    (full,), (hollow,) = (collections(figure.axes[1], f"flipped-{name}") for name in ("both", "alone"))
    assert (len(full.get_offsets()), len(hollow.get_offsets())) == (4, 0)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[-1] == "now wrong with random direction: 4"


def test_of_three_perturbations_a_star_is_full_where_all_flip():
    """By a loop over the pixels."""
    embedding = synthetic.embedding(60, {"pgd": 40, "vat": 30, "random": 20})
    common = np.arange(3)
    for kind in embedding.perturbations:
        column = embedding.pixels.columns.get_loc(f"pred_{kind}")
        embedding.pixels.iloc[common, column] = (embedding.pixels["label"].iloc[common] + 1).to_numpy()
    rows = embedding.pixels.to_dict("records")
    times = [sum(row[f"pred_{kind}"] != row["label"] for kind in embedding.perturbations) for row in rows]
    figure = draw_tsne(embedding)
    for ax, panel in zip(figure.axes[1:], embedding.perturbations, strict=True):
        (full,), (hollow,) = (collections(ax, f"flipped-{name}") for name in ("both", "alone"))
        wrong = [row[f"pred_{panel}"] != row["label"] for row in rows]
        assert len(full.get_offsets()) == times.count(3) >= 3
        assert len(hollow.get_offsets()) == sum(wrong) - times.count(3)
    names = " ".join(text.get_text() for text in figure.legends[0].get_texts()).replace("\n", " ")
    assert f"now wrong with all 3: {times.count(3)}" in names
    assert f"with several of them: {times.count(2)}" in names


def test_one_panel_is_drawn_on_the_callers_axes():
    embedding = synthetic.embedding(50)
    whole = draw_tsne(embedding).axes[2]
    ax = Figure().subplots(1, 2)[1]
    assert draw_tsne_panel(embedding, "tvat", ax=ax) is ax
    assert ax.get_title() == whole.get_title().removeprefix("(c) ")
    assert (ax.get_xlim(), ax.get_ylim()) == (whole.get_xlim(), whole.get_ylim())
    assert [len(item.get_offsets()) for item in ax.collections] == [len(i.get_offsets()) for i in whole.collections]
    assert ax.get_legend_handles_labels()[1] == ["background", "car", "dog", "person", "train"]
    with pytest.raises(UserError, match="a panel among clean, vat, tvat, got 'pgd'"):
        draw_tsne_panel(embedding, "pgd")
