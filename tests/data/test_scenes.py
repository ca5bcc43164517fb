import subprocess
import sys

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from psmt_viz.data import Scenes, open_data
from psmt_viz.data.drawing import CLASSES, SceneStyle, draw_scene
from psmt_viz.data.shapes import SHAPES
from psmt_viz.errors import UserError


@pytest.fixture(scope="module")
def scenes():
    return Scenes()


@pytest.fixture(scope="module")
def counts(scenes):
    """Part -> (images, K) pixel counts."""
    return {
        part: np.array([np.bincount(scenes.label(id).ravel(), minlength=len(CLASSES)) for id in scenes.ids(part)])
        for part in ("train", "val")
    }


def test_sizes_types_and_ids(scenes):
    assert len(scenes.ids("train")) == 512
    assert len(scenes.ids("val")) == 128
    assert scenes.ids("train")[7] == "train_0007"
    image, label = scenes.image("val_0003"), scenes.label("val_0003")
    assert (image.shape, image.dtype) == ((128, 128, 3), np.uint8)
    assert (label.shape, label.dtype) == ((128, 128), np.uint8)


def test_any_order_of_access_gives_the_same_images():
    forward, backward = Scenes(train=6, val=2, size=32), Scenes(train=9, val=2, size=32)
    ids = [*forward.ids("train"), *forward.ids("val")]
    seen = {id: (backward.image(id), backward.label(id)) for id in reversed(ids)}
    for id in ids:
        np.testing.assert_array_equal(forward.image(id), seen[id][0])
        np.testing.assert_array_equal(forward.label(id), seen[id][1])


HASH = """
import hashlib
from psmt_viz.data.scenes import Scenes
scenes = Scenes(train=3, val=1, size=48)
pixels = b"".join(scenes.image(id).tobytes() + scenes.label(id).tobytes() for id in scenes.ids("train"))
digest = hashlib.sha256(pixels).hexdigest()
"""


def test_another_process_draws_the_same():
    command = [sys.executable, "-c", HASH + "print(digest)"]
    there = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    here: dict[str, str] = {}
    exec(HASH, here)
    assert there == here["digest"]


def test_images_differ_between_ids_parts_and_seeds():
    a, b = Scenes(train=3, val=3, size=32), Scenes(train=3, val=3, size=32, seed=1)
    images = [s.image(id).tobytes() for s in (a, b) for part in ("train", "val") for id in s.ids(part)]
    assert len(set(images)) == len(images)


def test_what_is_returned_is_the_callers_own():
    scenes = Scenes(train=1, val=1, size=32)
    scenes.image("train_0000")[:] = 0
    scenes.label("train_0000")[:] = 9
    assert scenes.image("train_0000").any()
    assert scenes.label("train_0000").max() < 9


@pytest.mark.parametrize("part", ["train", "val"])
def test_every_class_occurs_and_nothing_is_void(counts, part):
    total = counts[part].sum(axis=0)
    assert len(total) == len(CLASSES) == 7
    assert (total > 0).all()
    assert 0.55 < total[0] / total.sum() < 0.80


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


def test_rare_classes_are_rare_in_the_data_set(counts):
    images = (counts["train"] > 0).sum(axis=0)
    assert images[1] > 1.3 * images[6]
    assert images[6] > 30


# Areas in units of the squared radius, computed from each shape's corners and radii.
AREAS = {
    "disk": lambda form: np.pi * (0.72 + 0.28 * form),
    "box": lambda form: 4 * 0.85 * (0.50 + 0.30 * form),
    "triangle": lambda form: 1.5 * np.sqrt(0.75) * (0.85 + 0.3 * form),
    "ring": lambda form: np.pi * (1 - (0.42 + 0.2 * form) ** 2),
    "star": lambda form: 10 * 0.5 * (0.40 + 0.14 * form) * np.sin(np.pi / 5),
    "cross": lambda form: 8 * 0.95 * (0.24 + 0.14 * form) - 4 * (0.24 + 0.14 * form) ** 2,
}


@pytest.mark.parametrize("name", AREAS)
@pytest.mark.parametrize("form", [0.0, 1.0])
def test_shapes_have_their_areas_and_fit_their_circle(name, form):
    line = np.linspace(-1.3, 1.3, 801)
    inside = SHAPES[name](line[None, :], line[:, None], form) < 0
    assert inside.sum() * (line[1] - line[0]) ** 2 == pytest.approx(AREAS[name](form), rel=0.02)
    assert not inside[np.hypot(line[None, :], line[:, None]) > 1.2].any()


def test_small_objects_stay_visible(scenes):
    smallest = min(
        (scenes.label(id) == class_id).sum() for id in scenes.ids("val") for class_id in np.unique(scenes.label(id))[1:]
    )
    assert smallest >= 4


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


def test_fingerprint_knows_what_decides_the_pixels():
    base = Scenes(train=4, val=2).fingerprint()
    assert base == Scenes(train=4, val=2).fingerprint()
    assert (base["train"], base["val"], base["classes"]) == (4, 2, list(CLASSES))
    others = [Scenes(train=4, val=2, seed=1), Scenes(train=4, val=2, size=64)]
    others.append(Scenes(train=4, val=2, style=SceneStyle(blur=0.1)))
    assert len({base["sha256"], *(other.fingerprint()["sha256"] for other in others)}) == 4


@pytest.mark.parametrize("name", ["1_0", "half", "1-8", "../1_8", ""])
def test_unknown_splits_are_refused(scenes, name):
    with pytest.raises(UserError, match=r"expected one of the splits full, 1_N for any N.*--split"):
        scenes.split(name)


def test_what_a_user_can_get_wrong():
    scenes = Scenes(train=2, val=1, size=16)
    with pytest.raises(UserError, match="train or val, got 'test'"):
        scenes.ids("test")
    with pytest.raises(UserError, match="train_0000 to val_0000, got 'train_0002'"):
        scenes.image("train_0002")
    with pytest.raises(UserError, match="size of at least 16 for the scenes, got 8"):
        Scenes(size=8)
    with pytest.raises(UserError, match="train of at least 1"):
        Scenes(train=0)


def test_open_data_opens_the_scenes_as_they_are(tmp_path):
    assert isinstance(open_data("scenes"), Scenes)
    with pytest.raises(UserError, match="scenes as they are, got classes"):
        open_data("scenes", classes=["disk"])
    with pytest.raises(UserError, match="got val_list"):
        open_data("scenes", val_list=tmp_path)
