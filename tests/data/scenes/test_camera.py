import numpy as np

from psmt_viz.data.scenes.camera import add_light, grid, photograph
from psmt_viz.data.scenes.style import SceneStyle


def test_neutral_light_changes_nothing():
    image = np.random.default_rng(0).random((8, 8, 3), np.float32)
    before = image.copy()
    add_light(np.random.default_rng(0), image, SceneStyle(gain=(1, 1), gamma=(1, 1), shading=0))
    np.testing.assert_array_equal(image, before)


def test_shading_is_a_slope_through_the_centre():
    image = np.full((9, 9, 3), 0.5, np.float32)
    add_light(np.random.default_rng(0), image, SceneStyle(gain=(1, 1), gamma=(1, 1), shading=0.2))
    assert image[4, 4, 0] == np.float32(0.5)
    np.testing.assert_allclose(image + image[::-1, ::-1], 1.0, rtol=1e-6)
    assert np.ptp(image) > 0


def test_a_camera_without_blur_and_noise_only_rounds():
    image = np.random.default_rng(0).random((8, 8, 3), np.float32)
    found = photograph(np.random.default_rng(0), image, SceneStyle(blur=0, noise=(0, 0)))
    np.testing.assert_array_equal(found, np.rint(255 * image))


def test_blur_spreads_a_point_and_keeps_its_sum():
    image = np.zeros((9, 9, 3), np.float32)
    image[4, 4] = 1
    found = photograph(np.random.default_rng(0), image, SceneStyle(noise=(0, 0)))
    assert 0 < found[4, 3, 0] < found[4, 4, 0]
    np.testing.assert_array_equal(found[3:6, 3:6], found[3:6, 3:6].swapaxes(0, 1))
    assert abs(int(found[..., 0].sum()) - 255) <= 5  # nine roundings


def test_the_grid_is_centred():
    rows, columns = grid(4)
    np.testing.assert_array_equal(columns, [-0.375, -0.125, 0.125, 0.375])
    np.testing.assert_array_equal(rows[:, 0], columns)
