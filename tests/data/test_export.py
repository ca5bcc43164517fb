import numpy as np
import pytest
from PIL import Image

from psmt_viz.data import Scenes, VocFolder, read_pair, write_voc
from psmt_viz.errors import UserError
from tests.data.folders import put_image


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


def test_a_folder_is_not_written_onto_itself(root):
    with pytest.raises(UserError, match="another folder than the data set's own"):
        write_voc(VocFolder(root), root)
