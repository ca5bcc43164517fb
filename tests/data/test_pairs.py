"""Images and masks are found wherever people keep them, and every label is the one that was drawn."""

import numpy as np
import pytest

from psmt_viz.data import open_data, pairs
from psmt_viz.data.folder_words import cores, mask_ending, place_of
from psmt_viz.data.splits import drawn_val
from psmt_viz.errors import UserError
from tests.data.variants import COUNT, LAYOUTS, NAMES, SIZE, pair, put, put_names


def number_of(id: str) -> int:
    """The number of an image by its id."""
    words = id.split("/")
    if words[-2:-1] and words[-2] in ("a", "b"):
        return 2 * int(words[-1]) + "ab".index(words[-2])
    return int("".join(letter for letter in words[-1] if letter.isdigit()))


@pytest.fixture(params=LAYOUTS, ids=lambda name: name.replace(" ", "-"))
def layout(request, tmp_path):
    LAYOUTS[request.param](tmp_path / "own")
    return request.param, tmp_path / "own"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_label_is_the_one_that_was_drawn(layout):
    name, root = layout
    data = open_data(str(root))
    assert data.classes == NAMES
    train, val = data.ids("train"), data.ids("val")
    assert not {*train} & {*val}
    assert sorted(map(number_of, (*train, *val))) == list(range(COUNT))
    for id in (*train, *val):
        image, label = pair(number_of(id))
        np.testing.assert_array_equal(data.image(id), image)
        if data.has_mask(id):
            np.testing.assert_array_equal(data.label(id), label)
    masks = 5 if name == "few masks" else COUNT
    assert sum(map(data.has_mask, (*train, *val))) == masks
    split = data.split("1_2")
    assert {*split.labeled} | {*split.unlabeled} == {*train}
    assert all(map(data.has_mask, split.labeled))
    assert data.fingerprint()["train"] == len(train)


def told(root) -> list[str]:
    with pytest.warns(UserWarning) as found:
        open_data(str(root))
    return [str(each.message) for each in found]


def test_what_nothing_tells_is_drawn_and_said(tmp_path):
    LAYOUTS["images and masks"](tmp_path)
    (message,) = told(tmp_path)
    assert "a fifth of those with masks was drawn, always the same" in message
    with pytest.warns(UserWarning):
        first, second = open_data(str(tmp_path)), open_data(str(tmp_path))
    assert first.ids("val") == second.ids("val")
    assert len(first.ids("val")) == 2


def test_parts_are_those_of_the_folders(tmp_path):
    LAYOUTS["CamVid's own"](tmp_path)
    (message,) = told(tmp_path)
    assert "images of the folder test are for validation" in message
    LAYOUTS["parts above"](tmp_path / "other")
    data = open_data(str(tmp_path / "other"))  # tells nothing
    assert data.ids("val") == ("val/07", "val/08", "val/09")


def test_a_list_of_training_images_alone_goes_with_a_folder_for_validation(tmp_path):
    LAYOUTS["parts above"](tmp_path)
    (tmp_path / "train.txt").write_text("00\n03\n")
    data = open_data(str(tmp_path))
    assert data.ids("train") == ("train/00", "train/03")
    assert data.ids("val") == ("val/07", "val/08", "val/09")


def test_ten_thousand_images_are_drawn_from_once(tmp_path, monkeypatch):
    calls = []
    LAYOUTS["images and masks"](tmp_path)
    monkeypatch.setattr(pairs, "drawn_val", lambda ids: calls.append(1) or drawn_val(ids))
    with pytest.warns(UserWarning, match="drawn"):
        open_data(str(tmp_path))
    assert calls == [1]


def test_images_without_a_mask_are_never_labelled(tmp_path):
    LAYOUTS["few masks"](tmp_path)
    with pytest.warns(UserWarning, match="drawn"):
        data = open_data(str(tmp_path))
    full = data.split("full")
    assert len(full.labeled) == 4 and len(full.unlabeled) == 5
    assert data.ids("val") == tuple(id for id in data.ids("val") if data.has_mask(id))


def test_named_folders_and_pairs(tmp_path):
    for number in range(4):
        pixels, label = pair(number)
        put(tmp_path / "scans" / f"p{number}_{3 * number}.png", pixels)
        put(tmp_path / "expert" / f"{7 * number}-of-{number}.png", label)
        put(tmp_path / "other" / f"{number}.png", label)
    put_names(tmp_path)
    with pytest.raises(UserError, match=r"images in expert, 4 images in other, 4 images in scans.*--image-dir"):
        open_data(str(tmp_path))
    named = {"image_dir": "scans", "mask_dir": "expert"}
    with pytest.raises(UserError, match=r"got scans/p0_0\.png and expert/0-of-0\.png.*--pair"):
        open_data(str(tmp_path), **named)
    with pytest.warns(UserWarning, match="drawn"):
        data = open_data(str(tmp_path), **named, pair=r"p(\d)_|of-(\d)")
    for id in (*data.ids("train"), *data.ids("val")):
        number = int(id[1])
        np.testing.assert_array_equal(data.label(id), pair(number)[1])
    with pytest.raises(UserError, match="--image-dir nowhere with images, got none there"):
        open_data(str(tmp_path), image_dir="nowhere", mask_dir="expert")
    with pytest.raises(UserError, match=r"--pair a regular expression with a group"):
        open_data(str(tmp_path), pair=r"(\d")


def test_two_masks_for_one_image_are_refused(tmp_path):
    LAYOUTS["mask in the name, one folder"](tmp_path)
    put(tmp_path / "03_label.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(UserError, match=r"one mask for one image in .*got 03_label\.png, 03_mask\.png"):
        open_data(str(tmp_path))


def test_nothing_to_find(tmp_path):
    with pytest.raises(UserError, match=r"a folder of images and one of their masks .*got no images; name two folders"):
        open_data(str(tmp_path))
    LAYOUTS["images and masks"](tmp_path / "inner")
    (tmp_path / "inner" / "readme.txt").write_text("hello")
    with pytest.warns(UserWarning):
        open_data(str(tmp_path))  # found further in


@pytest.mark.parametrize(
    ("folder", "kind", "part", "rest"),
    [
        ("images", "image", "", ()),
        ("train/Images", "image", "train", ()),
        ("ann_dir/validation/a", "mask", "val", ("a",)),
        ("trainannot", "mask", "train", ()),
        ("val_labels", "mask", "val", ()),
        ("masks_test", "mask", "test", ()),
        ("training", "", "train", ()),
        ("trainer/gt", "mask", "", ("trainer",)),
        ("1st_manual", "", "", ("1st_manual",)),
    ],
)
def test_what_the_name_of_a_folder_says(folder, kind, part, rest):
    place = place_of(folder)
    assert (place.kind, place.part, place.rest) == (kind, part, rest)


def test_words_that_all_names_share_are_left_out():
    assert cores(["21_training", "22_training", "31_training"]) == ["21", "22", "31"]
    assert cores(["21_manual1", "22_manual1", "31_manual1"]) == ["21", "22", "31"]
    assert cores(["a1x", "a2x"]) == ["1", "2"]
    assert cores(["alone"]) == ["alone"]
    assert mask_ending("001_mask") == "_mask"
    assert mask_ending("0001TP_006690_L") == "_L"
    assert mask_ending("landmask") == ""
