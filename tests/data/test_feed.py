import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from psmt_viz.config import ViewConfig
from psmt_viz.data import feed as module
from psmt_viz.data.cache import CachedData
from psmt_viz.data.feed import Feed
from psmt_viz.data.loader import InfiniteLoader
from psmt_viz.data.scenes import Scenes
from psmt_viz.errors import UserError

VIEWS = ViewConfig(crop=32, long_side=(24, 56))
WARMUP, STEPS = 3, 9


def needs(step):
    if step < WARMUP:
        return {"labeled": ("strong",), "teacher1": ("weak",)}
    return {"labeled": ("strong",), "unlabeled": ("weak", "strong")}


def loaders(data=None):
    data = data or Scenes(train=6, val=1, size=32)
    ids = data.ids("train")
    given = {"views": VIEWS, "batch": 2, "seed": 0}
    return {
        name: InfiniteLoader(
            data, ids[:3] if name != "unlabeled" else ids[3:], labeled=name != "unlabeled", name=name, **given
        )
        for name in ("labeled", "teacher1", "unlabeled")
    }


def fed(**values):
    return Feed(loaders(), needs, steps=STEPS, **values)


def flat(batches):
    """All bytes of a step's batches, by loader and view."""
    return {
        (name, key): view.numpy().tobytes()
        for name, batch in batches.items()
        for key, view in [*batch.images.items(), ("label", batch.label)]
    }


def expected(step):
    return flat({name: loaders()[name].batch(step, views) for name, views in needs(step).items()})


def pids(feed):
    return [worker.pid for worker in feed._made._workers] if feed._made is not None else []


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pids, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(map(alive, pids)):
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_steps_get_what_they_need_whoever_makes_it(workers):
    feed = fed(workers=workers)
    for step in range(STEPS):
        found = feed.batches(step)
        assert {name: tuple(batch.images) for name, batch in found.items()} == needs(step)
        assert flat(found) == expected(step)
    feed.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_steps_in_any_order(workers):
    feed = fed(workers=workers)
    for step in (5, 6, 2, 3, 8, 8, 0):
        assert flat(feed.batches(step)) == expected(step)
    feed.close()


def test_processes_live_over_all_epochs_and_end_when_closed():
    feed = fed(workers=2)
    feed.batches(0)
    first = pids(feed)
    assert len(first) == 2 and all(map(alive, first))
    for step in range(1, STEPS):
        feed.batches(step)
    assert pids(feed) == first
    feed.close()
    assert gone(first, 20)
    assert flat(feed.batches(4)) == expected(4)  # other processes
    again = pids(feed)
    assert not set(again) & set(first)
    del feed
    assert gone(again, 20)


def test_a_fault_of_the_data_is_told_with_its_words():
    data = Scenes(train=6, val=1, size=32)
    data.image = lambda id: (_ for _ in ()).throw(UserError("an image", f"no {id}", "add it"))
    feed = Feed(loaders(data), needs, steps=STEPS, workers=1)
    with pytest.raises(UserError, match=r"an image, got no train_.*add it"):
        feed.batches(0)
    feed.close()


def test_processes_share_what_is_kept_in_memory():
    data = Scenes(train=6, val=1, size=32)
    kept = CachedData(data, data.ids("train"), capacity=10**6)
    feed = Feed(loaders(kept), needs, steps=STEPS, workers=2)
    for step in range(STEPS):
        assert flat(feed.batches(step)) == expected(step)
    feed.close()
    assert kept.used >= 6 * 32 * 32 * 3
    data.image = None  # all of them were read, elsewhere
    for id in data.ids("train"):
        np.testing.assert_array_equal(kept.image(id), Scenes(train=6, val=1, size=32).image(id))


def test_the_global_generator_is_untouched():
    torch.manual_seed(5)
    drawn = torch.rand(2)
    torch.manual_seed(5)
    feed = fed(workers=1)
    feed.batches(0)
    feed.close()
    assert torch.equal(torch.rand(2), drawn)


def test_ctrl_c_and_sigterm_are_the_main_processs():
    feed = fed(workers=2)
    feed.batches(0)
    for pid in pids(feed):
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    for step in range(1, STEPS):
        assert flat(feed.batches(step)) == expected(step)
    feed.close()


PROGRAM = """
import os, signal, sys, time
from tests.data.test_feed import fed, pids
feed = fed(workers=2)
feed.batches(0)
print(*pids(feed), flush=True)
if sys.argv[1] == "end":
    sys.exit(3)
time.sleep(600)
"""


@pytest.mark.parametrize(("how", "status"), [("end", 3), (signal.SIGKILL, -9)])
def test_no_process_is_left_behind(how, status):
    """Neither by a program that ends without closing, nor by one that is killed."""
    word = how if isinstance(how, str) else "wait"
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, word], stdout=subprocess.PIPE, text=True)
    made = [int(pid) for pid in program.stdout.readline().split()]
    assert len(made) == 2
    if not isinstance(how, str):
        program.send_signal(how)
    assert program.wait(60) == status
    program.stdout.close()
    assert gone(made, 30)


def test_batches_are_pinned_only_by_processes(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "DataLoader", lambda *_, **given: asked.append(given["pin_memory"]) or iter(()))
    for workers, pin in ((0, True), (1, True), (1, False)):
        feed = fed(workers=workers, pin=pin)
        try:
            feed.batches(0)
        except StopIteration:
            feed.close()
    assert asked == [True, False]
