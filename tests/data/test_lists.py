import pytest

from psmt_viz.data import VocFolder
from psmt_viz.data.lists import read_list
from psmt_viz.errors import UserError
from tests.data.folders import lists, put_list


def test_lists_tolerate_blank_lines_crlf_bom_and_duplicates(root):
    path = put_list(lists(root) / "train.txt", ["", "a2", " a0 ", "", "a2", "a1.jpg"], end="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert VocFolder(root).ids("train") == ("a2", "a0", "a1")


@pytest.mark.parametrize(
    "line",
    [
        "../a0",
        "/JPEGImages/../../a0.jpg /SegmentationClass/a0.png",
        "/JPEGImages/a0.jpg /../a0.png",
        "C:/a0.jpg /SegmentationClass/a0.png",
        "..\\a0",
        "b\\..\\..\\a0",
        "a0\x00",
    ],
)
def test_lists_cannot_leave_the_folder(root, line):
    put_list(lists(root) / "train.txt", [line])
    with pytest.raises(UserError, match=r"inside the data set's folder.*train\.txt:1"):
        VocFolder(root)


def test_malformed_lists(root):
    put_list(lists(root) / "train.txt", ["a0", "a1  1"])
    with pytest.raises(UserError, match=r"got 'a1  1' \(.*train\.txt:2\)".replace("  ", " ")):
        VocFolder(root)
    put_list(lists(root) / "train.txt", ["/x/a0.jpg /y/a0.png", "/x/a0.png /y/a0.png"])
    with pytest.raises(UserError, match=r"one image for x/a0, got x/a0\.jpg and x/a0\.png"):
        VocFolder(root)


@pytest.mark.parametrize(
    ("line", "image", "mask"),
    [
        ("JPEGImages\\b\\a0.jpg SegmentationClass\\b\\a0.png", "JPEGImages/b/a0.jpg", "SegmentationClass/b/a0.png"),
        ("JPEGImages/b/a0.jpg\tSegmentationClass/b/a0.png", "JPEGImages/b/a0.jpg", "SegmentationClass/b/a0.png"),
        ("JPEGImages/my a0.jpg my masks/a 0.PNG", "JPEGImages/my a0.jpg", "my masks/a 0.PNG"),
        ("JPEGImages/a0.jpg JPEGImages/a0.jpg", "JPEGImages/a0.jpg", ""),
        ("my a0", "", ""),
    ],
)
def test_lists_of_other_people(root, line, image, mask):
    path = put_list(lists(root) / "train.txt", [line])
    (entry,) = read_list(path, root).entries
    assert (entry.image, entry.mask) == (image, mask)


def test_equal_names_in_different_folders_are_different_images(root):
    put_list(lists(root) / "train.txt", [f"JPEGImages/{c}/t.png SegmentationClass/{c}/t.png" for c in "ab"])
    assert VocFolder(root).ids("train") == ("a/t", "b/t")
