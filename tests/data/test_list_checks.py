from psmt_viz.data.list_checks import GIVEN, overlaps, read_lists
from psmt_viz.data.voc import VocFolder
from psmt_viz.groups import DataConfig
from tests.data.folders import lists, put_list

LAYOUT = VocFolder.layout


def test_a_folder_without_splits_may_label_any_training_image(root):
    found = read_lists(LAYOUT, root, DataConfig())
    assert found.splits == {}
    assert found.may_be_labeled == {*(f"a{i}" for i in range(8)), "v0", "v1", "v2"}
    assert overlaps(found) == []


def test_own_splits_say_which_masks_are_read(root):
    put_list(lists(root) / "semi" / "1_4" / "labeled.txt", ["a0", "a1"])
    put_list(lists(root) / "semi" / "1_4" / "unlabeled.txt", ["a2"])
    found = read_lists(LAYOUT, root, DataConfig())
    assert found.may_be_labeled == {"a0", "a1", "v0", "v1", "v2"}
    assert [listing.where.removeprefix("ImageSets/Segmentation/") for listing in found.all] == [
        *("train.txt", "val.txt", "semi/1_4/labeled.txt", "semi/1_4/unlabeled.txt")
    ]


def test_given_lists_are_read_once_and_are_the_training_images(root):
    labeled = put_list(root.parent / "l.txt", ["a0", "v0"])
    unlabeled = put_list(root.parent / "u.txt", ["a0", "a1"])
    found = read_lists(LAYOUT, root, DataConfig(labeled_list=str(labeled), unlabeled_list=str(unlabeled)))
    assert list(found.splits) == [GIVEN]
    assert found.train_ids == {"a0", "a1", "v0"}
    assert len(found.all) == 3
    kinds = {fault.kind: fault.found for fault in overlaps(found)}
    assert kinds == {"train and val overlap": "1: v0", "labelled and unlabelled overlap": "1: a0"}
