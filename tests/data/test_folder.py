import os

import pytest

from psmt_viz.data import VocFolder, read_pair
from psmt_viz.errors import UserError
from tests.data.folders import CLASSES, lists, put_image, put_list


def test_half_a_split_is_refused(root):
    with pytest.raises(UserError, match="add --unlabeled-list"):
        VocFolder(root, labeled_list=lists(root) / "train.txt")
    with pytest.raises(UserError, match="add --labeled-list"):
        VocFolder(root, unlabeled_list=lists(root) / "train.txt")


def test_val_list_alone_replaces_val(root):
    path = put_list(root.parent / "v.txt", ["v2"])
    assert VocFolder(root, val_list=path).ids("val") == ("v2",)


def test_a_symlinked_folder_is_fine(root, tmp_path):
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    data = VocFolder(tmp_path / "link")
    assert read_pair(data, "a0")[1].shape == (10, 12)
    assert data.name == "little"


def test_images_in_two_lists_are_told(root):
    labeled = put_list(root.parent / "l.txt", ["a0", "a1", "v0"])
    unlabeled = put_list(root.parent / "u.txt", ["a1", "a2"])
    with pytest.warns(UserWarning) as told:
        VocFolder(root, labeled_list=labeled, unlabeled_list=unlabeled)
    assert [str(each.message).partition("; ")[0] for each in told] == [
        "little: in both the training images and those for validation, 1: v0",
        "little: in both the labelled images and the unlabelled ones, 1: a1",
    ]
    put_list(lists(root) / "semi" / "1_4" / "labeled.txt", ["a0", "a1"])
    put_list(lists(root) / "semi" / "1_4" / "unlabeled.txt", ["a1"])
    with pytest.warns(UserWarning, match="in both the labelled images and the unlabelled ones of split 1_4, 1: a1"):
        VocFolder(root).split("1_4")


def test_ids_that_no_list_has_are_refused(root):
    data = VocFolder(root)
    with pytest.raises(UserError, match=r"an id of the lists in .*got 'b'"):
        data.image("b")
    with pytest.raises(UserError, match="train or val, got 'test'"):
        data.ids("test")


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
