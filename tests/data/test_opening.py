import pytest

from psmt_viz.data import CityscapesFolder, Scenes, VocFolder, open_data
from psmt_viz.data.opening import folder_type
from psmt_viz.errors import UserError


def test_open_data_opens_the_scenes_as_they_are(tmp_path):
    assert isinstance(open_data("scenes"), Scenes)
    with pytest.raises(UserError, match="scenes as they are, got classes"):
        open_data("scenes", classes=["disk"])
    with pytest.raises(UserError, match="got val_list"):
        open_data("scenes", val_list=tmp_path)


def test_a_folder_is_opened_by_the_layout_that_recognizes_it(root, tmp_path):
    assert type(open_data(str(root))) is VocFolder
    assert folder_type(tmp_path / "nowhere") is VocFolder  # which refuses it
    (root / "leftImg8bit").mkdir()
    assert folder_type(root) is CityscapesFolder
