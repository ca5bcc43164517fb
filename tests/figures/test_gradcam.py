from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from psmt_viz.errors import UserError
from psmt_viz.figures import class_colors, draw_gradcam
from psmt_viz.figures.gradcam import COLORMAP
from psmt_viz.results import Cams

from . import synthetic


def maps(figure, row):
    pictures = {}
    for ax in figure.axes[6 * row : 6 * row + 5]:
        pictures |= {item.get_gid(): item for item in ax.images if (item.get_gid() or "").startswith("map-")}
    return [pictures[f"map-{name}"] for name in ("clean", "vat", "tvat")]


def test_the_three_maps_of_a_row_share_one_scale_from_zero():
    result = synthetic.cams(3)
    figure = draw_gradcam(result)
    for row, cam in enumerate(result.cams):
        high = max(cam.clean.max(), cam.vat.max(), cam.tvat.max())
        for picture, raw in zip(maps(figure, row), (cam.clean, cam.vat, cam.tvat), strict=True):
            np.testing.assert_array_equal(picture.get_array(), raw)
            assert picture.get_clim() == (0, pytest.approx(high))
        assert figure.axes[6 * row + 5].get_ylim() == (0, pytest.approx(high))


def test_high_is_red_and_low_is_not():
    red, green, blue, _ = COLORMAP(1.0)
    assert red > 0.7
    assert max(green, blue) < 0.3
    assert COLORMAP(0.0)[0] < 0.35


def test_mass_changes_come_from_the_table():
    result = synthetic.cams(2)
    result.table.loc[0, ["mass_clean", "mass_vat", "mass_tvat"]] = [200.0, 150.0, 201.0]
    axes = draw_gradcam(result).axes
    assert [ax.get_xlabel() for ax in axes[2:5]] == ["", "mass −25.0 %", "mass +0.5 %"]
    assert [ax.get_xlabel() for ax in axes[8:11]] == ["", "mass −7.0 %", "mass +4.0 %"]


def test_ids_like_numbers_find_their_row_after_loading(tmp_path):
    result = synthetic.cams(1)
    result = replace(result, cams=(replace(result.cams[0], image_id="0016"),), table=result.table.assign(image="0016"))
    result.save(tmp_path)
    assert draw_gradcam(Cams.load(tmp_path)).axes[3].get_xlabel() == "mass −7.0 %"


@pytest.mark.parametrize("change", ["no mass", "no row", "another class"])
def test_an_unknown_change_is_said_to_be_unknown(change):
    result = synthetic.cams(1)
    table = {
        "no mass": result.table.assign(mass_clean=0.0),
        "no row": result.table.iloc[:0],
        "another class": result.table.assign(**{"class": "cow"}),
    }[change]
    axes = draw_gradcam(replace(result, table=table)).axes
    assert axes[3].get_xlabel() == "mass change not known"


def test_rows_are_named_and_columns_titled():
    result = synthetic.cams(2)
    axes = draw_gradcam(result).axes
    assert axes[0].get_ylabel() == "2007_000129\ncar"
    assert [ax.get_title() for ax in axes[:5]] == ["input", "truth (line), prediction", "original", "+ VAT", "+ T-VAT"]
    assert not any(ax.get_title() for ax in axes[6:])


def test_prediction_has_the_class_colours():
    picture = draw_gradcam(synthetic.cams(1)).axes[1].images[1]
    rgba = picture.cmap(picture.norm(7))
    assert to_hex(rgba).upper() == class_colors(21)[7]
    assert to_hex(picture.cmap(picture.norm(0))).upper() == class_colors(21)[0]


def test_blank_maps_different_sizes_and_unlabelled_images_draw():
    result = synthetic.cams(1, (20, 40))
    blank = np.zeros((40, 20), np.float32)
    other = replace(
        synthetic.cams(1, (40, 20)).cams[0],
        clean=blank,
        vat=blank,
        tvat=blank,
        truth=np.full((40, 20), 255, np.uint8),
        class_name="unheard of",
    )
    figure = draw_gradcam(replace(result, cams=(*result.cams, other)))
    figure.draw_without_rendering()
    assert maps(figure, 1)[0].get_clim() == (0, 1)


def test_no_maps_is_an_error():
    with pytest.raises(UserError, match="run psmt-viz gradcam again"):
        draw_gradcam(replace(synthetic.cams(1), cams=()))
