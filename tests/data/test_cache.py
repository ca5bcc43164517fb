import multiprocessing
import pickle
from collections import Counter

import numpy as np
import pytest

from psmt_viz.data import cache as module
from psmt_viz.data.cache import CachedData, bytes_of, cached
from psmt_viz.data.voc import VocFolder
from psmt_viz.errors import UserError
from tests.data.folders import put_image, put_mask

FORK = multiprocessing.get_context("fork")


class Counting:
    """Images of different sizes, whose reads are counted."""

    name, classes = "counting", ("a", "b")

    def __init__(self):
        self.read = Counter()

    def ids(self, part):
        return tuple(f"n{i}" for i in range(6))

    def split(self, name):
        return name

    def fingerprint(self):
        return {"train": 6}

    def image(self, id):
        self.read[f"image {id}"] += 1
        return np.random.default_rng(int(id[1:])).integers(0, 256, (5 + int(id[1:]), 7, 3), dtype=np.uint8)

    def label(self, id):
        self.read[f"label {id}"] += 1
        if id == "n5":
            raise UserError("a mask", "none", "add it")
        return np.full((5 + int(id[1:]), 7), int(id[1:]), np.uint8)


@pytest.fixture
def data():
    return Counting()


def kept(data, capacity=10**6):
    return CachedData(data, data.ids("train"), capacity=capacity)


def test_everything_is_read_once_and_the_same(data):
    cache, plain = kept(data), Counting()
    for _ in range(3):
        for id in data.ids("train")[:5]:
            np.testing.assert_array_equal(cache.image(id), plain.image(id))
            np.testing.assert_array_equal(cache.label(id), plain.label(id))
    assert set(data.read.values()) == {1} and len(data.read) == 10
    assert cache.used == sum(plain.image(id).size + plain.label(id).size for id in data.ids("train")[:5])
    assert (cache.name, cache.classes, cache.ids("train")) == (data.name, data.classes, data.ids("train"))
    assert (cache.split("1_8"), cache.fingerprint()) == ("1_8", {"train": 6})


def test_a_caller_that_changes_what_it_got_changes_nothing(data):
    cache = kept(data)
    for _ in range(2):
        cache.image("n1")[:] = 0
        cache.label("n1")[:] = 9
    np.testing.assert_array_equal(cache.image("n1"), Counting().image("n1"))
    assert (cache.label("n1") == 1).all()


def test_a_fault_is_told_each_time(data):
    cache = kept(data)
    for _ in range(2):
        with pytest.raises(UserError, match="a mask"):
            cache.label("n5")
    assert data.read["label n5"] == 2 and cache.used == 0


def test_what_does_not_fit_is_read_each_time(data):
    cache = kept(data, capacity=5 * 7 * 3 + 10)
    for _ in range(3):
        for id in ("n0", "n1"):
            np.testing.assert_array_equal(cache.image(id), Counting().image(id))
    assert (data.read["image n0"], data.read["image n1"], cache.used) == (1, 3, 105)


def test_an_image_that_is_not_on_the_list_is_read_each_time(data):
    cache = CachedData(data, ("n0",), capacity=10**6)
    cache.image("n3"), cache.image("n3")
    assert data.read["image n3"] == 2 and cache.used == 0


def read_all(cache):
    for id in cache.ids("train")[:5]:
        cache.image(id), cache.label(id)


def test_forked_processes_share_it(data):
    cache = kept(data)
    cache.image("n0")
    processes = [FORK.Process(target=read_all, args=(cache,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    before = dict(data.read)
    for id in data.ids("train")[:5]:
        np.testing.assert_array_equal(cache.image(id), Counting().image(id))
        np.testing.assert_array_equal(cache.label(id), Counting().label(id))
    assert data.read == before == {"image n0": 1}  # the others were read elsewhere


def test_elsewhere_it_is_the_bare_data(data):
    assert isinstance(pickle.loads(pickle.dumps(kept(data))), Counting)


@pytest.fixture
def folder(tmp_path):
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    names = [f"i{number}" for number in range(20)]
    for number, name in enumerate(names):
        put_image(tmp_path / "JPEGImages" / f"{name}.png", seed=number)
        put_mask(tmp_path / "SegmentationClass" / f"{name}.png", seed=number)
    (lists / "train.txt").write_text("\n".join(names))
    (lists / "val.txt").write_text("i0v")
    put_image(tmp_path / "JPEGImages" / "i0v.png", seed=0)
    put_mask(tmp_path / "SegmentationClass" / "i0v.png", seed=0)
    (tmp_path / "classes.txt").write_text("ground\ntree\nhouse\nroad\n")
    return VocFolder(tmp_path)


def test_the_estimate_is_exact_for_images_of_one_size(folder):
    ids = folder.ids("train")
    pixels = folder.label("i0").size
    assert bytes_of(folder, ids, ids[:6]) == 20 * 3 * pixels + 6 * pixels
    assert bytes_of(folder, ids[:3], ()) == 3 * 3 * pixels


@pytest.mark.parametrize(
    ("case", "keeps"),
    [  # --cache, free memory as a multiple of what is needed, processes
        (("auto", 2.1, 1), True),
        (("auto", 1.9, 1), False),
        (("auto", 4.2, 2), True),
        (("auto", 3.8, 2), False),
        (("auto", None, 1), False),
        (("on", 0.4, 1), True),
        (("on", None, 1), True),
        (("off", 100, 1), False),
    ],
)
def test_when_images_are_kept(folder, monkeypatch, case, keeps):
    mode, free, processes = case
    ids = folder.ids("train")
    needed = bytes_of(folder, ids, ids)
    monkeypatch.setattr(module, "free_memory", lambda: None if free is None else int(free * needed))
    found = cached(folder, ids, ids, mode, processes=processes)
    assert isinstance(found, CachedData) == keeps and (keeps or found is folder)
    if keeps:
        for id in ids:
            np.testing.assert_array_equal(found.image(id), folder.image(id))
            np.testing.assert_array_equal(found.label(id), folder.label(id))
        assert (found.used == needed) == (mode == "auto" or free is None)
        assert found.used <= needed


def test_data_that_is_no_folder_is_kept_on_request_alone(data):
    assert cached(data, data.ids("train"), (), "auto") is data
    assert isinstance(cached(data, data.ids("train"), (), "on"), CachedData)
    assert cached(data, (), (), "on") is data
