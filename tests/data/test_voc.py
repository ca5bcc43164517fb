import numpy as np
import pytest
from PIL import Image

from psmt_viz.data import VocFolder, open_data
from psmt_viz.data.palettes import voc_palette
from psmt_viz.data.voc import VOC_CLASSES
from psmt_viz.errors import UserError
from tests.data.folders import CLASSES, lists, put_image, put_list, put_mask


def test_reads_a_folder(root):
    data = open_data(str(root))
    assert (data.name, data.classes) == ("little", CLASSES)
    assert data.ids("train") == tuple(f"a{i}" for i in range(8))
    assert data.ids("val") == ("v0", "v1", "v2")
    assert data.image("a0").shape == (10, 12, 3)
    np.testing.assert_array_equal(data.image("a1"), np.asarray(Image.open(root / "JPEGImages" / "a1.jpg")))
    np.testing.assert_array_equal(data.label("a1"), np.asarray(Image.open(root / "SegmentationClass" / "a1.png")))
    assert set(np.unique(data.label("a0"))) == {0, 1, 2, 3, 255}


def test_palette_is_vocs():
    # https://host.robots.ox.ac.uk/pascal/VOC/voc2012: the first colours and the void colour
    palette = voc_palette()
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0), 20: (0, 64, 128)}
    known[255] = (224, 224, 192)
    for id, color in known.items():
        assert tuple(palette[id]) == color


def test_without_classes_txt_vocs_own_images_have_its_names(root):
    (root / "classes.txt").unlink()
    with pytest.warns(UserWarning, match="called class 0 to class 3"):
        assert VocFolder(root).classes == ("class 0", "class 1", "class 2", "class 3")
    for number, path in enumerate(sorted((root / "JPEGImages").iterdir())):
        id = f"2007_{number:06d}"
        (root / "SegmentationClass" / f"{path.stem}.png").rename(root / "SegmentationClass" / f"{id}.png")
        path.rename(path.with_stem(id))
    put_list(lists(root) / "train.txt", ["2007_000000"])
    put_list(lists(root) / "val.txt", ["2007_000001"])
    data = VocFolder(root)
    assert data.classes == VOC_CLASSES
    assert (len(data.classes), data.classes[15]) == (21, "person")


def test_the_authors_lists(root):
    (root / "SegmentationClass").rename(root / "SegmentationClassAug")
    put_image(root / "extra" / "b.one.jpeg", seed=9)
    put_mask(root / "masks" / "other.png", np.full((10, 12), 2))
    labeled = put_list(root.parent / "l.txt", ["/JPEGImages/a3.jpg /SegmentationClassAug/a3.png"])
    unlabeled = put_list(root.parent / "u.txt", ["/extra/b.one.jpeg /masks/other.png", "/JPEGImages/a4.jpg"])
    val = put_list(root.parent / "v.txt", ["JPEGImages/v1.jpg SegmentationClassAug/v1.png"])
    data = VocFolder(root, labeled_list=labeled, unlabeled_list=unlabeled, val_list=val)
    assert data.split("1_8") == data.split("anything")
    assert data.split("1_8").labeled == ("a3",)
    assert data.split("1_8").unlabeled == ("extra/b.one", "a4")
    assert data.ids("train") == ("a3", "extra/b.one", "a4")
    assert data.ids("val") == ("v1",)
    assert (data.label("extra/b.one") == 2).all()
    assert data.image("extra/b.one").shape == (10, 12, 3)
    assert data.label("a4").shape == (10, 12)


def test_a_leading_slash_means_the_folder(root):
    outside = root.parent / "outside.png"
    put_image(outside)
    put_list(lists(root) / "train.txt", [f"{outside} /SegmentationClass/a0.png"])
    with pytest.raises(UserError, match=r"an image .*got no such file"):
        VocFolder(root).image(str(outside.with_suffix("")).lstrip("/"))


def test_missing_folders_and_lists(root, tmp_path):
    with pytest.raises(UserError, match=r"a folder .*nowhere, got nothing there; give a folder in Pascal VOC"):
        open_data(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"JPEGImages in .*; give .*little instead"):
        VocFolder(tmp_path)
    put_list(lists(root) / "val.txt", ["", " "])
    with pytest.raises(UserError, match=r"ids in .*val\.txt, got an empty list"):
        VocFolder(root)
    (lists(root) / "val.txt").unlink()
    with pytest.raises(UserError, match=r"a list file .*val\.txt, got no such file.*psmt-viz checks --data"):
        VocFolder(root)
    (root / "SegmentationClass").rename(root / "Masks")
    with pytest.raises(UserError, match="a folder SegmentationClass or SegmentationClassAug"):
        VocFolder(root)
