import numpy as np
import pytest

from psmt_viz.data.scenes.style import SceneStyle
from psmt_viz.data.scenes.textures import PALETTES, TEXTURES, mix, shares, smooth_noise, soft_step, surface


def test_mixing_ends_at_the_two_colours():
    colors = np.array(PALETTES[0], np.float32)
    mixed = mix(colors, np.array([[0.0, 0.5, 1.0]]))
    np.testing.assert_allclose(mixed[0], [colors[0], colors.mean(axis=0), colors[1]], rtol=1e-6)


def test_weights_become_probabilities():
    np.testing.assert_allclose(shares((1, 3, 4)), [0.125, 0.375, 0.5])


def test_a_soft_step_has_flat_bands_and_a_middle():
    np.testing.assert_array_equal(soft_step(np.array([-1.0, 0.0, 1.0])), [0.0, 0.5, 1.0])


def test_noise_is_smooth_and_stays_in_its_range():
    noise = smooth_noise(np.random.default_rng(0), 60, 90, cells=4)
    assert noise.shape == (60, 90)
    assert noise.min() >= 0 and noise.max() <= 1
    assert noise.std() > 0.1
    assert max(np.abs(np.diff(noise, axis=axis)).max() for axis in (0, 1)) < 0.2  # knots lie 15 pixels apart


@pytest.mark.parametrize("class_id", range(1, 7))
def test_every_class_has_all_palettes_in_an_order_of_its_own(class_id):
    """With even modes, without jitter and texture, the mean colours are those of all palettes."""
    style = SceneStyle(mode_ratio=1.0, color_jitter=0.0)
    line = np.linspace(-1, 1, 8, dtype=np.float32)
    rng = np.random.default_rng(class_id)
    found = set()
    for _ in range(200):
        colors = surface(rng, *np.meshgrid(line, line), class_id, style).reshape(-1, 3)
        distances = []
        for first, second in np.array(PALETTES):
            along = (colors - first) @ (second - first) / ((second - first) @ (second - first))
            distances.append(np.abs(first + along[:, None] * (second - first) - colors).max())
        assert min(distances) < 1e-5
        found.add(int(np.argmin(distances)))
    assert found == set(range(len(PALETTES)))


def test_there_is_a_texture_for_every_class():
    assert len(TEXTURES) == len(set(TEXTURES)) == 6
