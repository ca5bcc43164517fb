"""Images of 16 bits, with transparency, in CMYK or turned by EXIF are read as a viewer shows them."""

import numpy as np
import pytest
from PIL import Image

from psmt_viz.data import open_data
from psmt_viz.data.checks import check
from psmt_viz.errors import UserError
from tests.data.variants import SIZE, pair, put, put_names

pytestmark = pytest.mark.filterwarnings("ignore:.*was drawn:UserWarning")


@pytest.fixture
def own(tmp_path):
    for number in range(4):
        pixels, label = pair(number)
        put(tmp_path / "images" / f"{number}.png", pixels)
        put(tmp_path / "masks" / f"{number}.png", label)
    put_names(tmp_path)
    return tmp_path


def replaced(own, save, suffix=".png"):
    (own / "images" / "0.png").unlink()
    save(own / "images" / f"0{suffix}")
    return open_data(str(own)).image("0")


def test_of_sixteen_bits_the_upper_eight(own):
    deep = np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(SIZE) * 117
    for suffix in (".png", ".tif"):
        found = replaced(own, lambda path: Image.fromarray(deep).save(path), suffix)
        np.testing.assert_array_equal(found, np.repeat((deep // 256).astype(np.uint8)[..., None], 3, axis=2))
        (own / "images" / f"0{suffix}").rename(own / "images" / "0.png")


def test_dark_ones_are_told(own):
    deep = np.full(SIZE, 3000, np.uint16)
    replaced(own, lambda path: Image.fromarray(deep).save(path))
    faults = check(own).faults.set_index("kind")
    assert "values up to 3000, of which the upper 8" in faults.loc["dark 16-bit image", "found"]


def test_floats_are_refused(own):
    with pytest.raises(UserError, match=r"of 8 or 16 bits .*got a 32-bit float image of 0\.5 to 0\.5"):
        replaced(own, lambda path: Image.fromarray(np.full(SIZE, 0.5, np.float32)).save(path), ".tif")


def test_grey_transparent_and_cmyk(own):
    pixels = pair(0)[0]
    grey = replaced(own, lambda path: Image.fromarray(pixels[..., 0]).save(path))
    np.testing.assert_array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))
    clear = np.dstack([pixels, np.arange(pixels[..., 0].size).reshape(SIZE) % 256]).astype(np.uint8)
    np.testing.assert_array_equal(replaced(own, lambda path: Image.fromarray(clear).save(path)), pixels)
    cmyk = Image.fromarray(pixels).convert("CMYK")
    found = replaced(own, cmyk.save, ".tif")
    np.testing.assert_array_equal(found, np.asarray(cmyk.convert("RGB")))


def turned(path, orientation, pixels):
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_an_orientation_is_heeded_where_the_mask_does_not_say_otherwise(own, orientation):
    pixels, label = pair(0)
    undo = {3: 2, 6: 1, 8: 3}[orientation]  # quarter turns from what is seen to what is stored
    found = replaced(own, lambda path: turned(path, orientation, np.ascontiguousarray(np.rot90(pixels, undo))))
    np.testing.assert_array_equal(found, pixels)
    told = check(own).faults.set_index("kind").loc["orientation in EXIF"]
    assert f"orientation {orientation}, heeded" in told["found"]
    if orientation != 3:  # as stored, where the mask fits that alone
        put(own / "masks" / "0.png", np.ascontiguousarray(np.rot90(label, undo)))
        data = open_data(str(own))
        assert data.image("0").shape[:2] == data.label("0").shape == SIZE[::-1]
        told = check(own).faults.set_index("kind").loc["orientation in EXIF"]
        assert "not heeded, because the mask has another size" in told["found"]


def test_a_program_is_no_image(own):
    (own / "images" / "0.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(UserError, match=r"a readable image .*got no image file"):
        open_data(str(own)).image("0")
