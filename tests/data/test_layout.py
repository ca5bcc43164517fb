"""A layout of one's own is one class: what it does not say is taken from the base class."""

import numpy as np
from PIL import Image

from psmt_viz.data import DataFolder
from psmt_viz.data.layout import Layout
from psmt_viz.data.lists import Entry, Listing
from tests.data.folders import put_image, put_mask


class Flat(Layout):
    """PART/images/ID.png and PART/masks/ID.png, without lists."""

    images = ""

    def folder_faults(self, root, *, images_listed):
        return []

    def read_classes(self, root):
        return ("ground", "tree", "house", "road"), ()

    def listing(self, root, part):
        names = sorted(path.stem for path in (root / part / "images").iterdir())
        return Listing(where=part, entries=tuple(Entry(id=f"{part}/{name}") for name in names))

    def image_name(self, tree, entry):
        part, name = entry.id.split("/")
        return f"{part}/images/{name}.png"

    def mask_name(self, tree, entry):
        part, name = entry.id.split("/")
        return f"{part}/masks/{name}.png"


class FlatFolder(DataFolder):
    layout = Flat()


def test_a_layout_of_ones_own_is_read(tmp_path):
    for number, place in enumerate(("train/a", "train/b", "val/c")):
        part, name = place.split("/")
        put_image(tmp_path / part / "images" / f"{name}.png", seed=number)
        put_mask(tmp_path / part / "masks" / f"{name}.png", seed=number)
    data = FlatFolder(tmp_path)
    assert (data.ids("train"), data.ids("val")) == (("train/a", "train/b"), ("val/c",))
    np.testing.assert_array_equal(data.image("train/b"), np.asarray(Image.open(tmp_path / "train/images/b.png")))
    np.testing.assert_array_equal(data.label("train/b"), np.asarray(Image.open(tmp_path / "train/masks/b.png")))
    assert len(data.split("1_2").labeled) == 1
    assert data.fingerprint()["train"] == 2
    assert FlatFolder.layout.unlisted(tmp_path, ()) == []
