import subprocess
import sys

import numpy as np
import pytest

from psmt_viz.data import Scenes
from psmt_viz.data.scenes.drawing import CLASSES
from psmt_viz.data.scenes.style import SceneStyle
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


def test_rare_classes_are_rare_in_the_data_set(counts):
    images = (counts["train"] > 0).sum(axis=0)
    assert images[1] > 1.3 * images[6]
    assert images[6] > 30


def test_small_objects_stay_visible(scenes):
    smallest = min(
        (scenes.label(id) == class_id).sum() for id in scenes.ids("val") for class_id in np.unique(scenes.label(id))[1:]
    )
    assert smallest >= 4


def test_fingerprint_knows_what_decides_the_pixels():
    base = Scenes(train=4, val=2).fingerprint()
    assert base == Scenes(train=4, val=2).fingerprint()
    assert (base["train"], base["val"], base["classes"]) == (4, 2, list(CLASSES))
    others = [Scenes(train=4, val=2, seed=1), Scenes(train=4, val=2, size=64)]
    others.append(Scenes(train=4, val=2, style=SceneStyle(blur=0.1)))
    assert len({base["sha256"], *(other.fingerprint()["sha256"] for other in others)}) == 4


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
