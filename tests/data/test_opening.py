import pytest

from psmt_viz.data import Scenes, open_data
from psmt_viz.data.cityscapes import CityscapesLayout
from psmt_viz.data.folder import folder_options
from psmt_viz.data.opening import find_layout
from psmt_viz.data.pairs import PairsLayout
from psmt_viz.data.voc import VocLayout
from psmt_viz.errors import UserError
from tests.data.folders import lists


def test_open_data_opens_the_scenes_as_they_are(tmp_path):
    assert isinstance(open_data("scenes"), Scenes)
    with pytest.raises(UserError, match="scenes as they are, got classes"):
        open_data("scenes", classes=["disk"])
    with pytest.raises(UserError, match="got val_list"):
        open_data("scenes", val_list=tmp_path)


def test_a_folder_is_opened_by_the_layout_that_recognizes_it(root, tmp_path):
    assert type(layout_of(root)) is VocLayout
    assert type(layout_of(tmp_path / "nowhere")) is VocLayout  # which refuses it
    for part in ("train", "val"):
        (lists(root) / f"{part}.txt").unlink()
    assert type(layout_of(root)) is PairsLayout
    (root / "leftImg8bit").mkdir()
    assert type(layout_of(root)) is CityscapesLayout
    assert type(layout_of(root, image_dir="JPEGImages", mask_dir="SegmentationClass")) is PairsLayout


def layout_of(root, **options):
    return find_layout(root, folder_options(root, options))
