import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from psmt_viz.data.scenes.drawing import BACKGROUNDS, draw_scene
from psmt_viz.data.scenes.style import SceneStyle


@pytest.fixture(scope="module")
def singles():
    """Class id and mean colour of the object in images of one object: (N,) and (N, 3)."""
    style, rng = SceneStyle(count_weights=(1.0,)), np.random.default_rng(0)
    ids, colors = [], []
    for _ in range(2000):
        image, label = draw_scene(rng, 32, style)
        ids.append(label.max())
        colors.append(image[label > 0].mean(axis=0))
    return np.array(ids), np.array(colors)


def test_instances_follow_the_declared_frequencies(singles):
    shares = np.bincount(singles[0], minlength=7)[1:] / len(singles[0])
    expected = SceneStyle().class_ratio ** np.arange(6)
    expected /= expected.sum()
    # 4.5 standard errors
    np.testing.assert_allclose(shares, expected, atol=4.5 * np.sqrt(0.25 * 0.75 / 2000))
    assert shares[0] > 1.3 * shares[-1]


def test_colour_alone_does_not_decide_the_class(singles):
    ids, colors = singles
    nearest = KNeighborsClassifier(15).fit(colors[:1000], ids[:1000]).score(colors[1000:], ids[1000:])
    commonest = (ids[1000:] == 1).mean()
    assert commonest - 0.05 < nearest < 0.65


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_each_background_is_drawn_without_an_object_in_its_label(kind):
    weights = tuple(float(each == kind) for each in BACKGROUNDS)
    style = SceneStyle(backgrounds=weights, diameter=(0.01, 0.01), contrast=(1.0, 1.0), clutter=(0, 0))
    image, label = draw_scene(np.random.default_rng(1), 64, style)
    assert (label == 0).mean() > 0.99
    assert image.reshape(-1, 3).std(axis=0).max() > 5  # two colours, not one
