import numpy as np
import pytest
from PIL import Image

from psmt_viz.data import VocFolder
from psmt_viz.errors import UserError
from tests.data.folders import put_image, put_mask


def test_missing_and_unreadable_files(root):
    data = VocFolder(root)
    (root / "JPEGImages" / "a0.jpg").unlink()
    with pytest.raises(UserError, match=r"an image .*a0\.jpg, got no such file"):
        data.image("a0")
    (root / "SegmentationClass" / "a1.png").unlink()
    with pytest.raises(UserError, match=r"a mask .*a1\.png, got no such file"):
        data.label("a1")
    image = root / "JPEGImages" / "a2.jpg"
    put_image(image, size=(200, 200))
    image.write_bytes(image.read_bytes()[:3000])
    with pytest.raises(UserError, match=r"a readable image .*a2\.jpg, got .*truncated"):
        data.image("a2")
    image.write_text("<html>")
    with pytest.raises(UserError, match=r"a readable image .*a2\.jpg, got no image file"):
        data.image("a2")
    mask = root / "SegmentationClass" / "a3.png"
    mask.write_bytes(mask.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"a readable mask .*a3\.png"):
        data.label("a3")


def test_oversized_images_are_a_users_error(root, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(UserError, match=r"a readable image .*a0\.jpg, got Image size \(120 pixels\) exceeds"):
        VocFolder(root).image("a0")


def test_wrong_masks(root):
    values = np.zeros((10, 12), np.uint8)
    values[0, :6] = 4
    values[1, :6] = 77
    put_mask(root / "SegmentationClass" / "a0.png", values)
    Image.new("RGB", (12, 10), "red").save(root / "SegmentationClass" / "a1.png")
    data = VocFolder(root)
    unknown = r"ids 0 to 3 and 255, got 4, 77 on 10\.00% of the pixels \(SegmentationClass/a0\.png\).*psmt-viz checks"
    with pytest.raises(UserError, match=unknown):
        data.label("a0")
    with pytest.raises(UserError, match=r"one channel .*a1\.png, got colours; say which colour"):
        data.label("a1")


@pytest.mark.parametrize("mode", ["L", "1", "I;16"])
def test_grey_masks_of_other_depths(root, mode):
    values = np.arange(120).reshape(10, 12) % 2
    kind = {"L": np.uint8, "1": np.bool_, "I;16": np.uint16}[mode]
    mask = Image.fromarray(values.astype(kind))
    assert mask.mode == mode
    mask.save(root / "SegmentationClass" / "a0.png")
    label = VocFolder(root).label("a0")
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, values)
