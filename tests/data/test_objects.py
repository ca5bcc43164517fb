"""Data sets as Python objects: torch's, Hugging Face's and one's own give the same images and labels as a folder."""

import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from psmt_viz.data import open_data
from psmt_viz.data.objects import PairedData, as_numbers, as_rgb
from psmt_viz.errors import UserError
from tests.data.variants import NAMES, SIZE, pair

COUNT = 10


class Pairs:
    """(image, mask) pairs; `form` turns arrays into what an item holds."""

    classes = NAMES

    def __init__(self, count=COUNT, form=lambda image, mask: (image, mask), start=0):
        self._count, self._form, self._start = count, form, start

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        return self._form(*pair(self._start + index))


@pytest.fixture
def module(monkeypatch):
    """A module of the user's, into which data sets are put."""
    made = types.ModuleType("their_data")
    monkeypatch.setitem(sys.modules, "their_data", made)
    return made


FORMS = {
    "arrays": lambda image, mask: (image, mask),
    "PIL": lambda image, mask: (Image.fromarray(image), Image.fromarray(mask)),
    "tensors": lambda image, mask: (
        torch.from_numpy(image).permute(2, 0, 1).float() / 255,
        torch.from_numpy(mask).long()[None],
    ),
    "bytes of torch": lambda image, mask: [torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask)],
    "columns": lambda image, mask: {"image": Image.fromarray(image), "annotation": Image.fromarray(mask), "id": 7},
    "floats that are whole": lambda image, mask: (image, mask.astype(np.float32)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pixels(module, form):
    module.train, module.val = Pairs(form=FORMS[form]), Pairs(3, FORMS[form], start=50)
    module.both = {"train": module.train, "validation": module.val}
    data = open_data("their_data:both")
    assert (data.name, data.classes) == ("their_data-both", NAMES)
    assert (len(data.ids("train")), len(data.ids("val"))) == (COUNT, 3)
    for start, part in ((0, "train"), (50, "val")):
        for number, id in enumerate(data.ids(part)):
            image, mask = pair(start + number)
            np.testing.assert_array_equal(data.image(id), image)
            np.testing.assert_array_equal(data.label(id), mask)
    split = data.split("1_2")
    assert {*split.labeled, *split.unlabeled} == {*data.ids("train")}


def test_a_single_data_set_keeps_a_fifth_for_validation(module):
    module.make = Pairs
    first, second = open_data("their_data:make"), open_data("their_data:make")
    assert len(first.ids("val")) == 2 and first.ids("val") == second.ids("val")
    assert not {*first.ids("train")} & {*first.ids("val")}
    assert first.fingerprint() == second.fingerprint()
    module.make = lambda: Pairs(start=1)
    assert open_data("their_data:make").fingerprint() != first.fingerprint()


def test_masks_are_read_as_those_of_files(module):
    def black_and_white(image, mask):
        return image, np.where(mask > 0, 255, 0).astype(np.uint8)

    module.unnamed = type("Unnamed", (Pairs,), {"classes": ()})(form=black_and_white)
    with pytest.raises(UserError, match="only 0 and 255, and no class names"):
        open_data("their_data:unnamed")
    data = open_data("their_data:unnamed", mask_values=(0, 255))
    assert data.classes == ("class 0", "class 1")
    assert set(np.unique(data.label(data.ids("train")[0]))) == {0, 1}
    module.more = Pairs(form=lambda image, mask: (image, mask + np.uint8(2)))
    with pytest.raises(UserError, match=r"ids 0 to 2 and 255, got 3, 4 on .*train/00000"):
        data = open_data("their_data:more")
        [data.label(id) for id in data.ids("train")]


def test_kept_classes_get_new_ids(module):
    module.data = Pairs()
    data = open_data("their_data:data", classes=("road", "ground"))
    label, own = data.label(data.ids("train")[0]), pair(int(data.ids("train")[0][-6:]))[1]
    np.testing.assert_array_equal(label, np.array([1, 255, 0], np.uint8)[own])


def test_an_object_that_is_a_data_set_already_is_used_as_it_is(module):
    module.data = PairedData("mine", {"train": Pairs()}, names=NAMES)
    assert open_data("their_data:data") is module.data


def failing():
    raise RuntimeError("no disk")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (3, r"a data set with len\(\) and \[index\], or train and val .*, got int"),
        ({"test": Pairs()}, "got dict"),
        (failing, r"to return a data set, got RuntimeError: no disk; call data\(\) in Python"),
        (Pairs(form=lambda image, mask: image), r"\(image, mask\) pairs, got ndarray"),
        (Pairs(form=lambda image, mask: {"photo": image}), r"an image \(image, .*\) and a mask .*, got photo"),
    ],
)
def test_what_is_no_data_set(module, made, words):
    module.data = made
    with pytest.raises(UserError, match=words):
        open_data("their_data:data")


def test_images_that_are_normalised_already_are_refused():
    with pytest.raises(UserError, match="the image from 0 to 1, got -1 to 2; return it before it is normalised"):
        as_rgb(torch.tensor([[[-1.0, 2.0]]]).expand(3, 1, 2), "the image")
    with pytest.raises(UserError, match=r"of shape \(H, W, 3\) or \(3, H, W\), got shape \(5, 2, 2\)"):
        as_rgb(np.zeros((5, 2, 2), np.uint8), "the image")
    with pytest.raises(UserError, match="as uint8 or floats"):
        as_rgb(np.zeros((2, 2, 3), np.int32), "the image")
    assert as_rgb(np.full(SIZE, 7, np.uint8), "the image").shape == (*SIZE, 3)
    with pytest.raises(UserError, match=r"as integers of shape \(H, W\), got float64"):
        as_numbers(np.full(SIZE, 0.5), "the mask")
