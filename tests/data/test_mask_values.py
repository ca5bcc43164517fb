"""What numbers and colours in masks stand for: asked where it is open, never silently void."""

import numpy as np
import pytest
from PIL import Image

from psmt_viz.data import open_data
from psmt_viz.data.voc import VOC_CLASSES
from psmt_viz.errors import UserError
from tests.data.variants import LAYOUTS, NAMES, colored, grey_png, pair, put, put_names, recode

pytestmark = pytest.mark.filterwarnings("ignore:.*was drawn:UserWarning")


@pytest.fixture
def own(tmp_path):
    LAYOUTS["images and masks"](tmp_path / "own")
    return tmp_path / "own"


def labels_are_those_drawn(data, change=lambda label: label):
    for id in (*data.ids("train"), *data.ids("val")):
        np.testing.assert_array_equal(data.label(id), change(pair(int(id))[1]))


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_has_the_numbers_of_the_file(own, bits):
    recode(own, lambda path, values: grey_png(path, values, bits))
    assert np.asarray(Image.open(own / "masks" / "00.png")).max() > 2  # as Pillow stretches it
    labels_are_those_drawn(open_data(str(own)))


def test_one_bit_sixteen_bits_and_white_as_zero(own):
    put_names(own, ("ground", "tree"))
    recode(own, lambda path, values: grey_png(path, np.minimum(values, 1), 1))
    labels_are_those_drawn(open_data(str(own)), lambda label: np.minimum(label, 1))
    recode(own, lambda path, values: Image.fromarray(values.astype(np.uint16)).save(path))
    labels_are_those_drawn(open_data(str(own)), lambda label: np.minimum(label, 1))

    def white_as_zero(path, values):
        Image.fromarray((255 - values).astype(np.uint8)).save(path.with_suffix(".tif"), tiffinfo={262: 0})

    recode(own, lambda path, values: put(path, values.astype(np.uint8)))
    stored = np.asarray(Image.open(own / "masks" / "00.png"))
    recode(own, white_as_zero)
    np.testing.assert_array_equal(open_data(str(own)).label("00"), stored)


def test_black_and_white_with_two_names_is_background_and_object(own):
    put_names(own, ("background", "polyp"))
    recode(own, lambda path, values: put(path, np.where(values > 0, 255, 0).astype(np.uint8)))
    with pytest.warns(UserWarning, match="0 and 255 alone: 255 is read as polyp"):
        data = open_data(str(own))
    labels_are_those_drawn(data, lambda label: (label > 0).astype(np.uint8))


@pytest.mark.parametrize("names", [NAMES, ()])
def test_black_and_white_is_never_silently_void(own, names):
    put_names(own, names)
    if not names:
        (own / "classes.txt").unlink()
    recode(own, lambda path, values: put(path, np.where(values > 0, 255, 0).astype(np.uint8)))
    there = "3 class names" if names else "no class names"
    with pytest.raises(UserError, match=rf"only 0 and 255, and {there}.*--mask-values 0 255"):
        open_data(str(own))
    if not names:
        with pytest.warns(UserWarning, match="class 0 to class 1"):
            data = open_data(str(own), mask_values=(0, 255))
        labels_are_those_drawn(data, lambda label: (label > 0).astype(np.uint8))


def test_void_beside_other_classes_stays_void(own):
    recode(own, lambda path, values: put(path, np.where(values == 2, 255, values).astype(np.uint8)))
    data = open_data(str(own))
    labels_are_those_drawn(data, lambda label: np.where(label == 2, 255, label))


def test_numbers_of_ones_own(own):
    recode(own, lambda path, values: put(path, np.array([0, 128, 255], np.uint8)[values]))
    with pytest.raises(UserError, match="ids 0 to 2 and 255, got 128 on"):
        open_data(str(own)).label("00")
    labels_are_those_drawn(open_data(str(own), mask_values=(0, 128, 255)))
    with pytest.raises(UserError, match="values 0, 255 and, for no class, none, got 128"):
        put_names(own, ("ground", "road"))
        open_data(str(own), mask_values=(0, 255)).label("00")
    data = open_data(str(own), mask_values=(0, 255), ignore_index=128)
    labels_are_those_drawn(data, lambda label: np.array([0, 255, 1], np.uint8)[label])


def test_zero_for_no_class(own):
    data = open_data(str(own), ignore_index=0)
    labels_are_those_drawn(data, lambda label: np.where(label == 0, 255, label))
    put_names(own, ("tree", "road"))
    labels_are_those_drawn(open_data(str(own), reduce_zero_label=True), lambda label: label - np.uint8(1))


def test_colours_by_a_palette(own):
    recode(own, lambda path, values: put(path, colored(values)))
    with pytest.raises(UserError, match=r"class ids in one channel .*--palette voc, cityscapes or a file"):
        open_data(str(own)).label("00")
    (own / "classes.txt").unlink()
    (own / "colors.csv").write_text("name,r,g,b\nground,0,0,0\ntree,128,0,0\nroad,0,128,0\nvoid,224,224,192\n")
    data = open_data(str(own), palette="colors.csv")
    assert data.classes == NAMES
    labels_are_those_drawn(data)
    (own / "colors.csv").rename(own / "class_dict.csv")  # which is found by its name
    labels_are_those_drawn(open_data(str(own)))
    put(own / "masks" / "00.png", colored(np.full((20, 28), 3, np.uint8)))
    with pytest.raises(UserError, match=r"the 3 colours of the palette, got #808000 on 100\.00% of the pixels"):
        open_data(str(own)).label("00")


def test_a_mask_of_one_grey_colour_is_read_by_the_palette(own):
    (own / "palette.txt").write_text("road 0 128 0\nground 128 128 128\ntree 128 0 0\nvoid 0 0 0\n")
    put_names(own, ("road", "ground", "tree"))
    colors = np.array([[128, 128, 128], [128, 0, 0], [0, 128, 0]], np.uint8)
    recode(own, lambda path, values: put(path, colors[values]))
    labels_are_those_drawn(open_data(str(own)), lambda label: np.array([1, 2, 0], np.uint8)[label])
    for color, id in (((0, 0, 0), 255), ((128, 128, 128), 1)):
        put(own / "masks" / "00.png", np.full((20, 28, 3), color, np.uint8))
        assert (open_data(str(own)).label("00") == id).all()


def test_colours_that_are_all_grey_are_numbers_where_there_is_no_palette(own):
    recode(own, lambda path, values: put(path, np.repeat(values[..., None], 3, axis=2)))
    labels_are_those_drawn(open_data(str(own)))


def test_black_and_white_beside_a_palette_is_not_silently_void(own):
    (own / "class_dict.csv").write_text("ground,0,0,0\ntree,128,0,0\nroad,0,128,0\n")
    recode(own, lambda path, values: put(path, np.where(values > 0, 255, 0).astype(np.uint8)))
    with pytest.raises(UserError, match="only 0 and 255, and 3 class names"):
        open_data(str(own))


def test_vocs_own_palette_and_names_only_for_voc(own):
    recode(own, lambda path, values: put(path, colored(values)))
    put_names(own, VOC_CLASSES)
    labels_are_those_drawn(open_data(str(own), palette="voc"))


def test_without_names_classes_are_numbered_and_said(own):
    (own / "classes.txt").unlink()
    with pytest.warns(UserWarning, match=r"no classes\.txt: the classes are called class 0 to class 2"):
        data = open_data(str(own))
    assert data.classes == ("class 0", "class 1", "class 2")
    with pytest.warns(UserWarning, match="drawn"):
        assert open_data(str(own), names=NAMES).classes == NAMES


def test_jpeg_masks_are_refused_with_the_reason(own):
    recode(own, lambda path, values: Image.fromarray(values).save(path.with_suffix(".jpg")))
    with pytest.raises(UserError, match=r"a JPEG, which changes numbers at every edge.*make the masks again as PNG"):
        open_data(str(own)).label("00")
