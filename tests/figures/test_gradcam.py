from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from psmt_viz.errors import UserError
from psmt_viz.figures import class_colors, draw_cam_change, draw_cam_panel, draw_gradcam
from psmt_viz.figures.gradcam import CHANGE_COLORMAP, COLORMAP
from psmt_viz.figures.style import DOUBLE, style
from psmt_viz.results import Cams

from . import synthetic

COLUMNS = 9
"""Input, prediction, three maps, their bar, two changes, their bar."""


def row_of(figure, row):
    return figure.axes[COLUMNS * row : COLUMNS * (row + 1)]


def pictures(figure, row, what):
    found = {item.get_gid(): item for ax in row_of(figure, row) for item in ax.images}
    return {name.removeprefix(f"{what}-"): item for name, item in found.items() if (name or "").startswith(f"{what}-")}


def words(figure, row=0):
    return [ax.get_xlabel() for ax in row_of(figure, row)]


def test_the_three_maps_of_a_row_share_one_scale_from_zero():
    result = synthetic.cams(3)
    figure = draw_gradcam(result)
    for row, cam in enumerate(result.cams):
        high = max(cam.maps["clean"].max(), cam.maps["vat"].max(), cam.maps["tvat"].max())
        shown = pictures(figure, row, "map")
        assert list(shown) == ["clean", "vat", "tvat"]
        for name, picture in shown.items():
            np.testing.assert_array_equal(picture.get_array(), cam.maps[name])
            assert picture.get_clim() == (0, pytest.approx(high))
        assert row_of(figure, row)[5].get_ylim() == (0, pytest.approx(high))


def test_changes_share_a_symmetric_scale_of_their_own():
    result = synthetic.cams(3)
    figure = draw_gradcam(result)
    for row, cam in enumerate(result.cams):
        changes = {name: cam.maps[name] - cam.maps["clean"] for name in ("vat", "tvat")}
        sizes = np.sort(np.abs([*changes.values()]).ravel())
        shown = pictures(figure, row, "change")
        assert list(shown) == ["vat", "tvat"]
        for name, picture in shown.items():
            np.testing.assert_array_equal(picture.get_array(), changes[name])
            low, end = picture.get_clim()
            assert low == -end
            assert (sizes > end).mean() == pytest.approx(0.005, abs=1e-3)
        assert row_of(figure, row)[8].get_ylim() == (-end, end)
        assert end < 0.9 * pictures(figure, row, "map")["clean"].get_clim()[1]


def test_a_very_small_change_shows():
    result = synthetic.cams(1)
    cam = result.cams[0]
    maps = {"vat": cam.maps["clean"] * np.float32(1 + 1e-4), "tvat": cam.maps["clean"] * np.float32(1 - 1e-4)}
    tiny = replace(cam, maps={"clean": cam.maps["clean"], **maps})
    shown = pictures(draw_gradcam(replace(result, cams=(tiny,))), 0, "change")
    for picture in shown.values():
        values = picture.norm(picture.get_array())
        assert np.abs(values - 0.5).max() >= 0.5
        assert (np.abs(values - 0.5) > 0.1).mean() > 0.2


def test_high_is_red_and_low_is_not():
    red, green, blue, _ = COLORMAP(1.0)
    assert red > 0.7
    assert max(green, blue) < 0.3
    assert COLORMAP(0.0)[0] < 0.35
    more, less, none = (CHANGE_COLORMAP(value)[:3] for value in (0.85, 0.15, 0.5))
    assert more[0] > more[2] + 0.3
    assert less[2] > less[0] + 0.3
    assert min(none) > 0.9


def test_numbers_below_the_pictures_come_from_the_table():
    result = synthetic.cams(2)
    table = result.table.copy()
    table.loc[0, ["change_vat", "change_tvat", "moved_vat", "moved_tvat"]] = [-0.25, 0.00512, 0.3, 0.0061]
    table.loc[0, ["faithfulness_clean", "faithfulness_vat", "faithfulness_tvat"]] = [0.5004, -0.0521, 0.25]
    figure = draw_gradcam(replace(result, table=table))
    cam = result.cams[0]
    high = max(cam.maps["clean"].max(), cam.maps["vat"].max(), cam.maps["tvat"].max())
    most = [100 * np.abs(cam.maps[name] - cam.maps["clean"]).max() / high for name in ("vat", "tvat")]
    assert words(figure) == [
        "",
        "",
        "faithful 0.500",
        "faithful −0.052\nmass −25.0 %",
        "faithful 0.250\nmass +0.512 %",
        "",
        f"moved 30.0 %\n≤ {most[0]:.2f} % of peak",
        f"moved 0.610 %\n≤ {most[1]:.1f} % of peak",
        "",
    ]
    assert words(figure, 1)[3] == "faithful 0.490\nmass −7.00 %"


def test_ids_like_numbers_find_their_row_after_loading(tmp_path):
    result = synthetic.cams(1)
    result = replace(result, cams=(replace(result.cams[0], image_id="0016"),), table=result.table.assign(image="0016"))
    result.save(tmp_path)
    assert (tmp_path / Cams.FACTS).is_file()
    assert words(draw_gradcam(Cams.load(tmp_path)))[3] == "faithful 0.490\nmass −7.00 %"


@pytest.mark.parametrize("change", ["no mass", "no row", "another class", "older"])
def test_unknown_numbers_are_said_to_be_unknown(change):
    result = synthetic.cams(1)
    unknown = {"change_vat": np.nan, "moved_vat": np.nan, "faithfulness_vat": np.nan}
    table = {
        "no mass": result.table.assign(**unknown),
        "no row": result.table.iloc[:0],
        "another class": result.table.assign(**{"class": "cow"}),
        "older": result.table[["image", "class", "mass_clean", "mass_vat"]],
    }[change]
    shown = words(draw_gradcam(replace(result, table=table)))
    assert shown[3] == "faithful not known\nmass not known"
    assert shown[6].startswith("moved not known\n≤ ")


def test_rows_are_named_columns_titled_and_the_settings_stated():
    result = synthetic.cams(2)
    figure = draw_gradcam(result)
    axes = row_of(figure, 0)
    assert axes[0].get_ylabel() == "2007_000129\ncar"
    titles = ["input", "prediction\n(line: truth)", "original", "+ VAT", "+ T-VAT", ""]
    assert [ax.get_title() for ax in axes] == [*titles, "VAT − original", "T-VAT − original", ""]
    assert not any(ax.get_title() for ax in row_of(figure, 1))
    assert figure.get_suptitle() == "method gradcam, layer z, eps = 2 (0.32 % of ‖z‖)"
    assert figure.get_figwidth() * 25.4 == pytest.approx(DOUBLE)


def test_the_class_is_outlined_on_maps_and_changes():
    axes = row_of(draw_gradcam(synthetic.cams(1)), 0)
    assert [len(ax.collections) for ax in axes[2:5] + axes[6:8]] == [2] * 5
    assert not axes[0].collections


def test_prediction_has_the_class_colours():
    picture = draw_gradcam(synthetic.cams(1)).axes[1].images[1]
    rgba = picture.cmap(picture.norm(7))
    assert to_hex(rgba).upper() == class_colors(21)[7]
    assert to_hex(picture.cmap(picture.norm(0))).upper() == class_colors(21)[0]


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("size", [(40, 80), (80, 60), (64, 64)])
def test_nothing_overlaps_and_nothing_leaves_the_paper(count, size):
    with style():
        figure = draw_gradcam(synthetic.cams(count, size))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        texts = [figure._suptitle]
        for ax in figure.axes:
            texts += [ax.title, ax.xaxis.label, ax.yaxis.label, ax.yaxis.get_offset_text(), *ax.get_yticklabels()]
        boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts if text.get_text()]
    assert len(boxes) > 15 * count
    paper = figure.bbox
    for index, (name, box) in enumerate(boxes):
        assert paper.x0 <= box.x0 < box.x1 <= paper.x1, name
        assert paper.y0 <= box.y0 < box.y1 <= paper.y1, name
        for other, another in boxes[:index]:
            assert not box.overlaps(another), (name, other)
        for ax in figure.axes:
            # Half a pt: titles stand close to their pictures.
            assert not box.padded(-0.5 * figure.dpi / 72).overlaps(ax.bbox), name


def test_blank_maps_different_sizes_and_unlabelled_images_draw():
    result = synthetic.cams(1, (20, 40))
    blank = np.zeros((40, 20), np.float32)
    other = replace(
        synthetic.cams(1, (40, 20)).cams[0],
        maps=dict.fromkeys(("clean", "vat", "tvat"), blank),
        truth=np.full((40, 20), 255, np.uint8),
        class_name="unheard of",
    )
    figure = draw_gradcam(replace(result, cams=(*result.cams, other)))
    figure.draw_without_rendering()
    assert pictures(figure, 1, "map")["clean"].get_clim() == (0, 1)
    assert pictures(figure, 1, "change")["vat"].get_clim() == (-1, 1)
    assert words(figure, 1)[6] == "moved not known\n≤ 0 % of peak"


def test_no_maps_is_an_error():
    with pytest.raises(UserError, match="run psmt-viz gradcam again"):
        draw_gradcam(replace(synthetic.cams(1), cams=()))


@pytest.mark.parametrize(("kinds", "shown"), [(("random",), [2, 1]), (("pgd", "vat", "random"), [4, 3])])
def test_other_perturbations_stand_in_their_order_two_in_a_row(kinds, shown):
    result = synthetic.cams(2, kinds=kinds)
    figure = draw_gradcam(result)
    for what, count in zip(("map", "change"), shown, strict=True):
        gids = [item.get_gid() for ax in figure.axes for item in ax.images if (item.get_gid() or "").startswith(what)]
        panels = ["clean", *kinds] if what == "map" else [*kinds]
        assert len(panels) == count and gids == [f"{what}-{panel}" for _ in result.cams for panel in panels]
    scales = {
        (index, item.get_clim())
        for index, cam in enumerate(result.cams)
        for ax in figure.axes
        for item in ax.images
        if (item.get_gid() or "").startswith("map") and any(item.get_array() is values for values in cam.maps.values())
    }
    assert len(scales) <= len(result.cams)  # one scale per image, over all of its rows


def test_one_map_and_one_change_are_drawn_on_the_callers_axes():
    result = synthetic.cams(2)
    whole = row_of(draw_gradcam(result), 1)
    ax, other = Figure().subplots(1, 2)
    assert draw_cam_panel(result, 1, "tvat", ax=ax) is ax
    assert draw_cam_change(result, 1, "tvat", ax=other) is other
    for own, same in ((ax, whole[4]), (other, whole[7])):
        assert own.get_xlabel() == same.get_xlabel()
        assert own.images[-1].get_clim() == same.images[-1].get_clim()
        np.testing.assert_array_equal(own.images[-1].get_array(), same.images[-1].get_array())
    assert ax.get_title() == "+ T-VAT" and other.get_title() == "T-VAT − original"
    with pytest.raises(UserError, match="one of 2 images, got number 2"):
        draw_cam_panel(result, 2, "vat")
    with pytest.raises(UserError, match="a panel among vat, tvat, got 'clean'"):
        draw_cam_change(result, 0, "clean")
