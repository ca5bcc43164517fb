import numpy as np
import pandas as pd
import pytest
from PIL import Image

from psmt_viz.data import Scenes, VocFolder, checks, write_voc
from psmt_viz.data.checks import COLUMNS
from psmt_viz.errors import UserError
from tests.data.folders import lists, make_folder, put_image, put_list, put_mask


def check(root, **options):
    """The table of faults."""
    return checks.check(root, **options).faults


def rows(table, kind):
    return table[table["kind"] == kind]


def test_a_sound_folder_has_no_fault(tmp_path):
    table = check(make_folder(tmp_path))
    assert isinstance(table, pd.DataFrame)
    assert tuple(table.columns) == COLUMNS
    assert table.empty


def test_an_export_has_no_error(tmp_path):
    write_voc(Scenes(train=40, val=20, size=32), tmp_path, splits=("1_2",))
    assert (check(tmp_path)["severity"] == "warning").all()


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A folder with every kind of fault that can stand beside the others."""
    root = make_folder(tmp_path_factory.mktemp("data") / "broken", train=12, val=4)
    images, masks, semi = root / "JPEGImages", root / "SegmentationClass", lists(root) / "semi"
    for id in (*(f"a{i}" for i in range(12)), *(f"v{i}" for i in range(4))):
        put_mask(masks / f"{id}.png", np.arange(120).reshape(10, 12) % 3)  # never a road
    put_list(root / "classes.txt", ["ground", "", "ground", "road"])
    put_list(lists(root) / "train.txt", [*(f"a{i}" for i in range(12)), "a1", "a2 -1", "../a3", "v0", "ghost"])
    put_list(semi / "1_4" / "labeled.txt", [*(f"a{i}" for i in range(12)), "v1"])
    put_list(semi / "1_4" / "unlabeled.txt", ["a1", "b0"])
    put_list(semi / "1_2" / "labeled.txt", [])
    (images / "a0.jpg").unlink()
    (masks / "a1.png").unlink()
    (images / "a2.jpg").write_bytes((images / "a2.jpg").read_bytes()[:-200])
    (masks / "a3.png").write_bytes((masks / "a3.png").read_bytes()[:-40])
    Image.new("RGB", (12, 10), "red").save(masks / "a4.png")
    put_mask(masks / "a5.png", np.repeat(np.array([[0] * 9 + [4, 7, 99]]), 10, axis=0))
    put_mask(masks / "a6.png", np.zeros((10, 11)))
    put_mask(masks / "a7.png", np.full((10, 12), 255))
    put_mask(masks / "a8.png", np.full((9, 12), 5))  # two faults in one file
    put_image(images / "b0.png")
    put_image(images / "spare1.jpg")
    put_image(images / "spare2.png")
    return root


EXPECTED = {
    # kind: (severity, {where}, text in found)
    "blank class name": ("error", {"classes.txt:2"}, "blank line"),
    "duplicate class name": ("error", {"classes.txt:3"}, "ground"),
    "duplicate id": ("warning", {"ImageSets/Segmentation/train.txt:13"}, "a1"),
    "malformed line": ("error", {"ImageSets/Segmentation/train.txt:14"}, "a2 -1"),
    "path leaves the folder": ("error", {"ImageSets/Segmentation/train.txt:15"}, "../a3"),
    "empty list": ("error", {"ImageSets/Segmentation/semi/1_2/labeled.txt"}, "empty"),
    "missing list": ("error", {"ImageSets/Segmentation/semi/1_2/unlabeled.txt"}, "no such file"),
    "train and val overlap": ("error", {"ImageSets/Segmentation/train.txt and ImageSets/Segmentation/val.txt"}, "v0"),
    "labelled and unlabelled overlap": ("error", None, "1: a1"),
    "split ids not in train": ("warning", None, "1: b0"),
    "split and val overlap": ("error", None, "1: v1"),
    "missing image": ("error", {"JPEGImages/a0.jpg", "JPEGImages/ghost.jpg"}, "no such file"),
    "missing mask": (None, {f"SegmentationClass/{id}.png" for id in ("a1", "ghost", "b0")}, "no such file"),
    "unreadable image": ("error", {"JPEGImages/a2.jpg"}, ""),
    "unreadable mask": ("error", {"SegmentationClass/a3.png"}, ""),
    "mask with colours": ("error", {"SegmentationClass/a4.png"}, "colours"),
    "unknown ids in mask": ("error", {"SegmentationClass/a5.png", "SegmentationClass/a8.png"}, " of the pixels"),
    "size mismatch": ("error", {"SegmentationClass/a6.png", "SegmentationClass/a8.png"}, "an image of 12 x 10"),
    "mask all void": ("warning", {"SegmentationClass/a7.png"}, "no class"),
    "class without a pixel": (
        "warning",
        {f"ImageSets/Segmentation/{name}.txt" for name in ("train", "val", "semi/1_4/labeled")},
        "road",
    ),
    "images in no list": ("warning", {"JPEGImages"}, "2: spare1.jpg, spare2.png"),
}


@pytest.fixture(scope="module")
def table(broken):
    return check(broken)


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_fault_is_found_where_it_is(table, kind):
    severity, where, text = EXPECTED[kind]
    found = rows(table, kind)
    assert len(found) == (1 if where is None else len(where))
    assert where is None or set(found["where"]) == where
    assert severity is None or set(found["severity"]) == {severity}
    assert found["found"].str.contains(text, regex=False).all()
    assert found["fix"].str.len().gt(10).all()


def test_nothing_else_is_found_and_errors_come_first(table):
    assert set(table["kind"]) == set(EXPECTED)
    assert table["severity"].is_monotonic_increasing
    assert set(table["severity"]) == {"error", "warning"}


def test_unknown_ids_are_named_with_their_share(table):
    unknown = rows(table, "unknown ids in mask").set_index("where")["found"]
    assert unknown["SegmentationClass/a5.png"] == "4, 7, 99 on 25.00% of the pixels"


def test_masks_missing_for_unlabelled_images_are_warnings(table):
    severity = rows(table, "missing mask").set_index("where")["severity"]
    assert severity["SegmentationClass/a1.png"] == "error"
    assert severity["SegmentationClass/b0.png"] == "warning"


def test_missing_folders(tmp_path):
    table = check(tmp_path / "nowhere")
    assert list(table["kind"]) == ["missing folder"]
    root = make_folder(tmp_path / "data")
    (root / "SegmentationClass").rename(root / "Labels")
    put_image(root / "JPEGImages" / "spare.jpg")
    table = check(root)
    assert list(rows(table, "missing folder")["where"]) == ["SegmentationClass"]
    assert len(rows(table, "missing mask")) == 11
    assert len(rows(table, "images in no list")) == 1


def test_kept_classes_decide_what_is_void_and_absent(tmp_path):
    root = make_folder(tmp_path)
    put_mask(root / "SegmentationClass" / "a0.png", np.full((10, 12), 1))
    assert check(root).empty
    table = check(root, classes=["house", "road"])
    assert list(table["kind"]) == ["mask all void"]
    with pytest.raises(UserError, match="did you mean house"):
        check(root, classes=["hose", "road"])


def test_given_lists_replace_the_folders(tmp_path):
    root = make_folder(tmp_path / "data")
    labeled = put_list(tmp_path / "l.txt", ["/JPEGImages/a0.jpg /SegmentationClass/a0.png"])
    unlabeled = put_list(tmp_path / "u.txt", ["a1", "v0"])
    val = put_list(tmp_path / "v.txt", ["v0", "v1"])
    (root / "SegmentationClass" / "a1.png").unlink()
    (root / "SegmentationClass" / "a7.png").unlink()
    (lists(root) / "train.txt").unlink()
    table = check(root, labeled_list=labeled, unlabeled_list=unlabeled, val_list=val)
    assert sorted(table["kind"]) == ["images in no list", "missing mask", "train and val overlap"]
    assert set(rows(table, "missing mask")["severity"]) == {"warning"}


def test_what_checks_call_sound_can_be_read(tmp_path):
    root = make_folder(tmp_path)
    assert check(root).empty
    data = VocFolder(root)
    for part in ("train", "val"):
        for id in data.ids(part):
            data.image(id)
            data.label(id)
