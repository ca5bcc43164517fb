import os

import numpy as np
import pytest
from PIL import Image

from psmt_viz.data import Scenes, VocFolder, open_data, read_pair, write_voc
from psmt_viz.data.layout import VOC_CLASSES
from psmt_viz.data.voc import voc_palette
from psmt_viz.errors import UserError
from tests.data.folders import CLASSES, lists, make_folder, put_image, put_list, put_mask


@pytest.fixture
def root(tmp_path):
    return make_folder(tmp_path / "little")


def test_reads_a_folder(root):
    data = open_data(str(root))
    assert (data.name, data.classes) == ("little", CLASSES)
    assert data.ids("train") == tuple(f"a{i}" for i in range(8))
    assert data.ids("val") == ("v0", "v1", "v2")
    assert data.image("a0").shape == (10, 12, 3)
    np.testing.assert_array_equal(data.image("a1"), np.asarray(Image.open(root / "JPEGImages" / "a1.jpg")))
    np.testing.assert_array_equal(data.label("a1"), np.asarray(Image.open(root / "SegmentationClass" / "a1.png")))
    assert set(np.unique(data.label("a0"))) == {0, 1, 2, 3, 255}


def test_export_reads_back_pixel_by_pixel(tmp_path):
    scenes = Scenes(train=9, val=2, size=40)
    write_voc(scenes, tmp_path / "out", splits=("1_4", "1_2"))
    back = VocFolder(tmp_path / "out")
    assert back.classes == scenes.classes
    for part in ("train", "val"):
        assert back.ids(part) == scenes.ids(part)
        for id in scenes.ids(part):
            image, label = read_pair(back, id)
            np.testing.assert_array_equal(image, scenes.image(id))
            np.testing.assert_array_equal(label, scenes.label(id))
    assert back.splits() == ("1_2", "1_4")
    for name in back.splits():
        assert back.split(name) == scenes.split(name)
    assert Image.open(tmp_path / "out" / "SegmentationClass" / "val_0000.png").mode == "P"


def test_export_keeps_other_files_and_refuses_hidden_images(tmp_path):
    scenes = Scenes(train=2, val=1, size=16)
    (tmp_path / "notes.txt").write_text("mine")
    write_voc(scenes, tmp_path, splits=())
    write_voc(scenes, tmp_path, splits=())
    assert (tmp_path / "notes.txt").read_text() == "mine"
    put_image(tmp_path / "JPEGImages" / "train_0001.jpg")
    with pytest.raises(UserError, match=r"no other image of train_0001.*train_0001\.jpg"):
        write_voc(scenes, tmp_path)


def test_palette_is_vocs():
    # https://host.robots.ox.ac.uk/pascal/VOC/voc2012: the first colours and the void colour
    palette = voc_palette()
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0), 20: (0, 64, 128)}
    known[255] = (224, 224, 192)
    for id, color in known.items():
        assert tuple(palette[id]) == color


def test_kept_classes_get_new_ids_and_the_rest_is_void(root):
    every, some = VocFolder(root), VocFolder(root, classes=["road", "ground"])
    assert some.classes == ("road", "ground")
    for id in every.ids("train"):
        old = every.label(id)
        new = np.empty_like(old)
        for row in range(old.shape[0]):
            for column in range(old.shape[1]):
                new[row, column] = {"road": 0, "ground": 1}.get((*CLASSES, "void")[min(old[row, column], 4)], 255)
        np.testing.assert_array_equal(some.label(id), new)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["ground", "tre"], r"among ground, tree, house, road, got 'tre'; did you mean tree\?"),
        (["tree", "tree"], "two or more different class names, got tree, tree"),
        (["tree"], "two or more different class names"),
    ],
)
def test_wrong_classes(root, classes, message):
    with pytest.raises(UserError, match=message):
        VocFolder(root, classes=classes)


def test_without_classes_txt_the_names_are_vocs(root):
    (root / "classes.txt").unlink()
    data = VocFolder(root)
    assert data.classes == VOC_CLASSES
    assert (len(data.classes), data.classes[15]) == (21, "person")


def test_many_classes(root):
    put_list(root / "classes.txt", [f"c{i}" for i in range(255)])
    put_mask(root / "SegmentationClass" / "a0.png", np.arange(120).reshape(10, 12) + 135)
    label = VocFolder(root).label("a0")
    np.testing.assert_array_equal(label, np.arange(120).reshape(10, 12) + 135)
    put_list(root / "classes.txt", [f"c{i}" for i in range(256)])
    with pytest.raises(UserError, match="2 to 255 class names, got 256 of them"):
        VocFolder(root)


def test_lists_tolerate_blank_lines_crlf_bom_and_duplicates(root):
    path = put_list(lists(root) / "train.txt", ["", "a2", " a0 ", "", "a2", "a1.jpg"], end="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert VocFolder(root).ids("train") == ("a2", "a0", "a1")


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
    assert data.split("1_8").unlabeled == ("b.one", "a4")
    assert data.ids("train") == ("a3", "b.one", "a4")
    assert data.ids("val") == ("v1",)
    assert (data.label("b.one") == 2).all()
    assert data.image("b.one").shape == (10, 12, 3)
    assert data.label("a4").shape == (10, 12)


def test_half_a_split_is_refused(root):
    with pytest.raises(UserError, match="add --unlabeled-list"):
        VocFolder(root, labeled_list=lists(root) / "train.txt")
    with pytest.raises(UserError, match="add --labeled-list"):
        VocFolder(root, unlabeled_list=lists(root) / "train.txt")


def test_val_list_alone_replaces_val(root):
    path = put_list(root.parent / "v.txt", ["v2"])
    assert VocFolder(root, val_list=path).ids("val") == ("v2",)


@pytest.mark.parametrize(
    "line",
    [
        "../a0",
        "/JPEGImages/../../a0.jpg /SegmentationClass/a0.png",
        "/JPEGImages/a0.jpg /../a0.png",
        "C:/a0.jpg /SegmentationClass/a0.png",
        "..\\a0",
        "a0\x00",
    ],
)
def test_lists_cannot_leave_the_folder(root, line):
    put_list(lists(root) / "train.txt", [line])
    with pytest.raises(UserError, match=r"inside the data set's folder.*train\.txt:1"):
        VocFolder(root)


def test_a_leading_slash_means_the_folder(root):
    outside = root.parent / "outside.png"
    put_image(outside)
    put_list(lists(root) / "train.txt", [f"{outside} /SegmentationClass/a0.png"])
    with pytest.raises(UserError, match=r"an image .*got no such file"):
        VocFolder(root).image("outside")


def test_a_symlinked_folder_is_fine(root, tmp_path):
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    data = VocFolder(tmp_path / "link")
    assert read_pair(data, "a0")[1].shape == (10, 12)
    assert data.name == "little"


def test_own_splits_come_first_and_others_are_drawn(root):
    put_list(lists(root) / "semi" / "1_8" / "labeled.txt", ["a5"])
    put_list(lists(root) / "semi" / "1_8" / "unlabeled.txt", ["a0", "a1"])
    put_list(lists(root) / "semi" / "mine" / "labeled.txt", ["a1"])
    put_list(lists(root) / "semi" / "mine" / "unlabeled.txt", [])
    data = VocFolder(root)
    assert (data.split("1_8").labeled, data.split("1_8").unlabeled) == (("a5",), ("a0", "a1"))
    quarter, half = data.split("1_4"), data.split("1_2")
    assert len(quarter.labeled) == 2
    assert len(half.labeled) == 4
    assert set(quarter.labeled) < set(half.labeled)
    assert len(data.split("1_3").labeled) == 3  # ceil(8 / 3)
    assert data.split("full").labeled == data.ids("train")
    assert data.split("full").unlabeled == ()
    with pytest.raises(UserError, match=r"splits 1_8, mine, full.*got '1_x'"):
        data.split("1_x")
    with pytest.raises(UserError, match="an empty list"):
        data.split("mine")


def test_the_order_of_the_list_does_not_change_a_drawn_split(root):
    before = VocFolder(root).split("1_4")
    put_list(lists(root) / "train.txt", [f"a{i}" for i in reversed(range(8))])
    assert VocFolder(root).split("1_4") == before


def test_missing_folders_and_lists(root, tmp_path):
    with pytest.raises(UserError, match=r"a folder .*nowhere, got nothing there; give the path of a VOC-layout folder"):
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


def test_malformed_lists(root):
    put_list(lists(root) / "train.txt", ["a0", "a1  1"])
    with pytest.raises(UserError, match=r"got 'a1  1' \(.*train\.txt:2\)".replace("  ", " ")):
        VocFolder(root)
    put_list(lists(root) / "train.txt", ["/x/a0.jpg /y/a0.png", "/z/a0.jpg /y/a0.png"])
    with pytest.raises(UserError, match=r"one image for a0, got x/a0\.jpg and z/a0\.jpg"):
        VocFolder(root)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "", "b"], r"a class name, got a blank line \(classes\.txt:2\)"),
        (["a", "b", "a"], r"got a a second time \(classes\.txt:3\)"),
        ([], "2 to 255 class names, got 0 of them"),
    ],
)
def test_wrong_classes_txt(root, names, message):
    put_list(root / "classes.txt", names)
    with pytest.raises(UserError, match=message):
        VocFolder(root)


def test_missing_and_unreadable_files(root):
    data = VocFolder(root)
    (root / "JPEGImages" / "a0.jpg").unlink()
    with pytest.raises(UserError, match=r"an image .*a0\.jpg, got no such file"):
        data.image("a0")
    (root / "SegmentationClass" / "a1.png").unlink()
    with pytest.raises(UserError, match=r"a mask .*a1\.png, got no such file"):
        data.label("a1")
    image = root / "JPEGImages" / "a2.jpg"
    put_image(image, size=(200, 200))
    image.write_bytes(image.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"a readable image .*a2\.jpg, got .*truncated"):
        data.image("a2")
    image.write_text("<html>")
    with pytest.raises(UserError, match=r"a readable image .*a2\.jpg, got no image file"):
        data.image("a2")
    mask = root / "SegmentationClass" / "a3.png"
    mask.write_bytes(mask.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"a readable mask .*a3\.png"):
        data.label("a3")
    with pytest.raises(UserError, match=r"an id of the lists in .*got 'b'"):
        data.image("b")
    with pytest.raises(UserError, match="train or val, got 'test'"):
        data.ids("test")


def test_oversized_images_are_a_users_error(root, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(UserError, match=r"a readable image .*a0\.jpg, got Image size \(120 pixels\) exceeds"):
        VocFolder(root).image("a0")


def test_wrong_masks(root):
    values = np.zeros((10, 12), np.uint8)
    values[0, :6] = 4
    values[1, :6] = 77
    put_mask(root / "SegmentationClass" / "a0.png", values)
    Image.new("RGB", (12, 10)).save(root / "SegmentationClass" / "a1.png")
    put_mask(root / "SegmentationClass" / "a2.png", np.zeros((12, 10)))
    data = VocFolder(root)
    unknown = r"ids 0 to 3 and 255, got 4, 77 on 10\.00% of the pixels \(SegmentationClass/a0\.png\).*psmt-viz checks"
    with pytest.raises(UserError, match=unknown):
        data.label("a0")
    with pytest.raises(UserError, match=r"one channel .*a1\.png, got a RGB mask; save masks as palette PNG"):
        data.label("a1")
    with pytest.raises(UserError, match=r"a2 in little of one size .*an image of 12 x 10 and a mask of 10 x 12"):
        read_pair(data, "a2")


@pytest.mark.parametrize("mode", ["L", "1", "I;16"])
def test_grey_masks_of_other_depths(root, mode):
    values = np.arange(120).reshape(10, 12) % 2
    kind = {"L": np.uint8, "1": np.bool_, "I;16": np.uint16}[mode]
    mask = Image.fromarray(values.astype(kind))
    assert mask.mode == mode
    mask.save(root / "SegmentationClass" / "a0.png")
    label = VocFolder(root).label("a0")
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, values)


def test_fingerprint_sees_files_not_the_folders_place(root, tmp_path):
    before = VocFolder(root).fingerprint()
    assert (before["train"], before["val"], before["classes"]) == (8, 3, list(CLASSES))
    put_image(root / "JPEGImages" / "unlisted.jpg")
    data = VocFolder(root)
    data.split("1_2")
    assert data.fingerprint() == before
    moved = root.rename(tmp_path / "moved")
    assert VocFolder(moved).fingerprint() == before
    with (moved / "JPEGImages" / "v1.jpg").open("ab") as file:
        file.write(b"x")
    assert VocFolder(moved).fingerprint()["sha256"] != before["sha256"]


def test_nothing_is_written_to_the_folder(root):
    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}

    before = state()
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        os.chmod(folder, 0o555)  # noqa: PTH101
    try:
        data = VocFolder(root)
        data.split("1_4")
        data.fingerprint()
        read_pair(data, "a0")
    finally:
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
    assert state() == before
