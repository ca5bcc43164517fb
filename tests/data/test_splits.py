import pytest

from psmt_viz.data import Scenes, VocFolder
from psmt_viz.errors import UserError
from tests.data.folders import lists, put_list


@pytest.fixture(scope="module")
def scenes():
    return Scenes()


def test_splits_are_nested_and_seeded(scenes):
    sizes = {}
    labeled: set[str] = set()
    for name in ("1_16", "1_8", "1_4", "1_2", "full"):
        split = scenes.split(name)
        assert labeled <= set(split.labeled)
        labeled = set(split.labeled)
        assert labeled.isdisjoint(split.unlabeled)
        assert labeled | set(split.unlabeled) == set(scenes.ids("train"))
        sizes[name] = len(split.labeled)
    assert sizes == {"1_16": 32, "1_8": 64, "1_4": 128, "1_2": 256, "full": 512}
    assert Scenes().split("1_16") == scenes.split("1_16")
    assert len(Scenes(train=10, val=1, size=16).split("1_16").labeled) == 1


@pytest.mark.parametrize("name", ["1_0", "half", "1-8", "../1_8", ""])
def test_unknown_splits_are_refused(scenes, name):
    with pytest.raises(UserError, match=r"expected one of the splits full, 1_N for any N.*--split"):
        scenes.split(name)


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
