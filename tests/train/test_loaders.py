import os
import shutil
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from psmt_viz.data import cache
from psmt_viz.data.cache import CachedData
from psmt_viz.data.voc import VocFolder
from psmt_viz.errors import UserError
from psmt_viz.presets import configure
from psmt_viz.train import loaders as module
from psmt_viz.train.loaders import cores, images_per_second, open_feed, open_loaders, worker_count
from psmt_viz.train.plan import resolve

LISTS = {
    "psmt": {"labeled", "unlabeled", "teacher1", "teacher2"},
    "mean_teacher": {"labeled", "unlabeled"},
    "supervised": {"labeled"},
}


def opened(config, scenes, **processes):
    split = scenes.split(config.data.split)
    plan = resolve(config, split, devices=processes.get("world_size", 1))
    return plan, open_loaders(config, plan, scenes, split, **processes)


def first(loader, step=0):
    return loader.batch(step)


@pytest.mark.parametrize("method", LISTS)
def test_a_method_has_the_loaders_that_its_steps_name(tiny, scenes, method):
    _, loaders = opened(tiny(method=method, batch_labeled=3, batch_unlabeled=4), scenes)
    assert set(loaders) == LISTS[method]
    for name, loader in loaders.items():
        assert len(first(loader).label) == (4 if name == "unlabeled" else 3)


def test_only_labels_of_labelled_images_are_read(tiny, scenes):
    _, loaders = opened(tiny(), scenes)
    read = {
        name: torch.cat([first(loader, step).label for step in range(4)]).unique() for name, loader in loaders.items()
    }
    for name, classes in read.items():
        unlabeled = name == "unlabeled"
        assert (set(classes.tolist()) <= {0, 255}) == unlabeled, name


def test_networks_that_warm_up_side_by_side_read_in_orders_of_their_own(tiny, scenes):
    _, loaders = opened(tiny(), scenes)
    views = [first(loaders[name]).weak for name in ("labeled", "teacher1", "teacher2")]
    assert not any(torch.equal(one, other) for one, other in zip(views, [*views[1:], views[0]], strict=True))


def test_processes_share_a_batch(tiny, scenes):
    config = tiny(batch_labeled=4, batch_unlabeled=4)
    _, whole = opened(config, scenes)
    shares = [opened(config, scenes, rank=rank, world_size=2)[1] for rank in (0, 1)]
    for name, loader in whole.items():
        assert torch.equal(first(loader).weak, torch.cat([first(share[name]).weak for share in shares])), name


def test_replayed_labelled_images_come_again_in_the_views_that_they_had(tiny, scenes):
    settings = {"split": "1_4", "batch_labeled": 2, "steps_per_epoch": 4, "warmup_epochs": 0}
    for stream, again in (("replay", True), ("fresh", False)):
        plan, loaders = opened(tiny(labeled_stream=stream, **settings), scenes)
        passes = len(scenes.split("1_4").labeled) // 2
        assert plan.steps_per_epoch == 2 * passes
        assert torch.equal(first(loaders["labeled"]).weak, first(loaders["labeled"], passes).weak) == again


@pytest.fixture
def machine(monkeypatch):
    """A function that sets the cores and the room for batches of the machine."""

    def of(count, *, room=2**40):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)
        monkeypatch.setattr(Path, "is_dir", lambda _: True)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=room))

    return of


VOC = {"data": "none"}


@pytest.mark.parametrize(
    ("preset", "device", "shared", "expected"),  # cores, and processes that share them
    [
        ("voc", "cuda", (1, 1), 0),
        ("voc", "cuda", (2, 1), 1),
        ("voc", "cuda", (4, 1), 3),
        ("voc", "cuda", (64, 1), 8),
        ("voc", "cuda", (16, 4), 3),
        ("voc", "cuda", (4, 8), 0),
        ("voc", "cpu", (64, 1), 0),
        ("voc", "mps", (64, 1), 0),
        ("scenes", "cuda", (64, 1), 0),  # 16 crops of 96 pixels a side
        ("voc_mini", "cuda", (64, 1), 8),
        ("cityscapes", "cuda", (64, 1), 8),
    ],
)
def test_workers_follow_from_the_machine(machine, preset, device, shared, expected):
    count, here = shared
    machine(count)
    config = configure(preset, VOC)
    assert worker_count(config, torch.device(device), here=here) == expected
    for given in (0, 5):
        fixed = replace(config, system=replace(config.system, workers=given))
        assert worker_count(fixed, torch.device(device), here=here) == given


def test_workers_need_room_for_their_batches(machine):
    # 32 images of 512 x 512 pixels with two views of 3 bytes and a label, two of them ahead: 112 MiB.
    config, batch = configure("voc", VOC), 2 * 32 * 512 * 512 * 7
    beside = 2**20
    for room, expected in ((64 * 2**20, 0), (3 * batch + beside, 3), (3 * batch + beside - 1, 2)):
        machine(64, room=room)
        assert worker_count(config, torch.device("cuda")) == expected
    machine(64, room=4 * batch + beside)
    assert worker_count(config, torch.device("cuda"), here=2) == 2
    asked = replace(config, system=replace(config.system, workers=5))
    with pytest.raises(UserError, match=r"--workers of at most 4, .* got 5, and [\d,]+ bytes free.*--shm-size"):
        worker_count(asked, torch.device("cpu"))


def test_cores_are_those_that_this_process_may_use():
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_a_feed_gives_each_step_what_the_method_names(tiny, scenes):
    config = tiny(warmup_steps=2)
    plan, loaders = opened(config, scenes)
    feed = open_feed(config, plan, loaders, torch.device("cpu"))
    for step in range(4):
        needs = config.method.loaders(warmup=step < 2)
        found = feed.batches(step)
        assert {name: tuple(batch.images) for name, batch in found.items()} == needs
        for name, batch in found.items():
            for view, pixels in batch.images.items():
                assert torch.equal(pixels, loaders[name].batch(step).images[view])


@pytest.mark.parametrize(("workers", "first"), [(0, 1), (1, 1), (2, 1), (3, 2), (8, 4)])
def test_the_rate_of_loading_by_hand(monkeypatch, workers, first):
    """Steps of two batches of 4 images that take a second: 8 images/s, without those that come first."""
    clock, steps = [0.0], []

    def batches(step):
        steps.append(step)
        clock[0] += 1.0
        return {name: types.SimpleNamespace(label=[0] * 4) for name in ("labeled", "unlabeled")}

    monkeypatch.setattr(module, "time", types.SimpleNamespace(perf_counter=lambda: clock[0]))
    closed = []
    feed = types.SimpleNamespace(workers=workers, batches=batches, close=lambda: closed.append(True))
    assert images_per_second(feed, 5, seconds=2.5) == 8.0
    assert closed == [True]
    assert steps == list(range(5, 5 + first + 3))


@pytest.mark.parametrize("mode", ["on", "off"])
def test_a_folders_images_are_kept_for_all_loaders(tiny, blocks_folder, monkeypatch, mode):
    made = []
    monkeypatch.setattr(cache, "CachedData", lambda *args, **given: made.append(args[1]) or CachedData(*args, **given))
    data = VocFolder(blocks_folder)
    _, kept = opened(tiny(cache=mode), data)
    _, plain = opened(tiny(cache="off"), data)
    assert made == ([[*data.split("1_4").labeled, *data.split("1_4").unlabeled]] if mode == "on" else [])
    for name in kept:
        for step in (0, 1, 0):
            one, other = (loaders[name].batch(step) for loaders in (kept, plain))
            assert torch.equal(one.label, other.label)
            assert all(torch.equal(one.images[view], other.images[view]) for view in one.images)
