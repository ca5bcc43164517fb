import numpy as np
import pytest

from psmt_viz.data import VocFolder
from psmt_viz.errors import UserError
from tests.data.folders import CLASSES, put_list, put_mask


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


def test_many_classes(root):
    put_list(root / "classes.txt", [f"c{i}" for i in range(255)])
    put_mask(root / "SegmentationClass" / "a0.png", np.arange(120).reshape(10, 12) + 135)
    label = VocFolder(root).label("a0")
    np.testing.assert_array_equal(label, np.arange(120).reshape(10, 12) + 135)
    put_list(root / "classes.txt", [f"c{i}" for i in range(256)])
    with pytest.raises(UserError, match="2 to 255 class names, got 256 of them"):
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
