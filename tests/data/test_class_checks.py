"""What a training will meet: classes that no labelled image shows, or hardly any pixel."""

import numpy as np

from psmt_viz.data.checks import check
from tests.data.folders import lists, make_folder, put_list, put_mask


def test_shares_of_every_class_and_of_none(tmp_path):
    root = make_folder(tmp_path, train=2, val=1)
    for id, values in {"a0": [0, 0, 1, 255], "a1": [0, 0, 0, 2], "v0": [3, 3, 3, 3]}.items():
        put_mask(root / "SegmentationClass" / f"{id}.png", np.repeat(np.array([values]), 30, axis=0).reshape(10, 12))
    shares = check(root).shares.set_index(["list", "class"])
    train = shares.loc["ImageSets/Segmentation/train.txt"]
    assert train["share"].to_dict() == {"ground": 5 / 8, "tree": 1 / 8, "house": 1 / 8, "road": 0, "no class": 1 / 8}
    assert train["images"].to_dict() == {"ground": 2, "tree": 1, "house": 1, "road": 0, "no class": 1}


def test_rare_and_absent_classes_of_a_split_are_told(tmp_path):
    root = make_folder(tmp_path, train=4, val=1)
    values = np.zeros((40, 60), np.uint8)
    values[0, :2], values[1:20], values[20:30] = 3, 1, 2
    for id in ("a0", "a1"):
        put_mask(root / "SegmentationClass" / f"{id}.png", values[:10, :12] if id == "a1" else values)
    put_list(lists(root) / "semi" / "1_4" / "labeled.txt", ["a0"])
    put_list(lists(root) / "semi" / "1_4" / "unlabeled.txt", ["a1", "a2", "a3"])
    faults = check(root).faults
    rare = faults[faults["kind"] == "rare class"].set_index("where")["found"]
    assert rare.to_dict() == {"ImageSets/Segmentation/semi/1_4/labeled.txt": "road 0.083%"}


def test_equal_faults_are_one_line(tmp_path):
    root = make_folder(tmp_path, train=6, val=1)
    for number in range(6):
        (root / "SegmentationClass" / f"a{number}.png").unlink()
    (line,) = (line for line in check(root).lines() if "missing mask" in line)
    assert line.startswith("error: missing mask: 6 times, first SegmentationClass/a0.png: no such file; ")
    assert "a2.png" in line and "a3.png" not in line
