from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

from psmt_viz.config import ViewConfig
from psmt_viz.data.scenes import Scenes
from psmt_viz.data.stream import Stream
from psmt_viz.errors import UserError

VIEWS = ViewConfig(crop=32, long_side=(24, 56))


class Numbers:
    """Images of one grey level each, so that a view tells where it comes from; labels are the same numbers."""

    name, classes = "numbers", ("a", "b")

    def __init__(self, count=7, *, readable=True):
        self._ids, self._readable = tuple(f"n{i}" for i in range(count)), readable
        self.read = Counter()

    def ids(self, part):
        return self._ids

    def image(self, id):
        self.read[id] += 1
        return np.full((40, 40, 3), 10 + int(id[1:]), np.uint8)

    def label(self, id):
        if not self._readable:
            raise AssertionError("read a label of an unlabelled image")
        return np.full((40, 40), int(id[1:]), np.uint8)


def stream(data, **values):
    given = {"labeled": True, "views": VIEWS, "batch": 2, "seed": 0, "name": "labeled", **values}
    return Stream(data, data.ids("train"), **given)


def equal(first, second):
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in ("weak", "strong", "label"))


def shown(batch):
    """The ids that a batch's labels tell."""
    return [f"n{int(label[label != 255].unique())}" for label in batch.label]


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 10])
def test_every_image_comes_once_before_any_comes_again(batch):
    data = Numbers(7)
    ids = [id for step in range(21) for id in stream(data, batch=batch).ids(step)]
    rounds = [ids[start : start + 7] for start in range(0, 7 * (len(ids) // 7), 7)]
    assert len(rounds) >= 3
    assert all(sorted(turn) == sorted(data.ids("train")) for turn in rounds)
    assert len({tuple(turn) for turn in rounds}) > 1  # each round has its own order


WAYS = [
    # Batch, stages, batches of a pass, the last kept?
    (2, [], 1, False),
    (10, [], 1, False),
    (2, [(0, 3)], 3, False),  # 6 of 7 images a pass
    (3, [(0, 2)], 2, False),
    (7, [(0, 1)], 1, False),
    (2, [(0, 8)], 3, False),  # 3 batches, replayed to 8 steps
    (2, [(0, 4)], 4, True),  # the last batch has one image
    (3, [(0, 5)], 3, True),  # and is replayed with the others
    (2, [(0, 3), (6, 5)], 3, False),  # two passes of a warm-up, then replays
    (2, [(0, 3), (5, 4)], 3, False),  # a second pass that is cut short
    (4, [(3, 2)], 2, False),  # an eighth image, the first once more
    (10, [(0, 2)], 1, False),  # more than there are
]


def expected_draws(batch, stages, pass_batches, keep_last, steps):
    """The (pass, image) pairs of each step, by going through the steps one after the other."""
    first = stages[0][0] if stages else 0
    if not stages:
        endless = [(turn, image) for turn in range(steps * batch) for image in range(7)]
        return [endless[step * batch : (step + 1) * batch] for step in range(steps)]
    found, turn, place, lengths = [], -1, 0, dict(stages)
    left = 0
    for step in range(first, steps):
        if step in lengths:
            length, left = lengths[step], 0
        if left == 0:
            turn, place, left = turn + 1, 0, length
        images = [place * batch + number for number in range(batch)]
        found.append([(turn, image) for image in images if image < 7 or not keep_last])
        place, left = (place + 1) % pass_batches, left - 1
    return found


@pytest.mark.parametrize(("batch", "stages", "pass_batches", "keep_last"), WAYS)
@pytest.mark.parametrize("world", [1, 2, 5])
def test_passes_replays_and_shares_against_counting(batch, stages, pass_batches, keep_last, world):
    if batch % world or keep_last:
        world = 1 if keep_last else batch
    data, orders = Numbers(7), stream(Numbers(7), batch=7)
    given = {"batch": batch, "stages": stages, "pass_batches": pass_batches, "keep_last": keep_last, "world": world}
    ranks = [stream(data, rank=rank, **given) for rank in range(world)]
    first = stages[0][0] if stages else 0
    for step, draws in enumerate(expected_draws(batch, stages, pass_batches, keep_last, 14), start=first):
        shares = [reader.ids(step) for reader in ranks]
        # The order of a pass is that of an endless stream's batch of all images.
        assert sum(shares, ()) == tuple(orders.ids(turn)[image % 7] for turn, image in draws)
        assert keep_last or {len(share) for share in shares} == {batch // world}


def test_a_pass_that_leaves_out_images_begins_anew():
    data = Numbers(7)
    reader = stream(data, batch=2, stages=[(0, 3)], pass_batches=3)
    passes = [sum((reader.ids(step) for step in range(3 * turn, 3 * turn + 3)), ()) for turn in range(6)]
    assert all(len(set(turn)) == 6 for turn in passes)
    assert len(set(passes)) > 1
    assert len({next(iter(set(data.ids("train")) - set(turn))) for turn in passes}) > 1  # not always the same one


def test_a_kept_last_batch_shows_every_image_in_a_pass():
    reader = stream(Numbers(7), batch=3, stages=[(0, 3)], pass_batches=3, keep_last=True)
    batches = list(reader.batches(0, 3))
    assert [len(batch.label) for batch in batches] == [3, 3, 1]
    assert sorted(id for batch in batches for id in shown(batch)) == [f"n{i}" for i in range(7)]


def test_replayed_batches_come_with_their_views_and_new_passes_with_others():
    data = Scenes(train=5, val=1, size=32)
    every = list(stream(data, stages=[(0, 4)], pass_batches=2).batches(0, 8))
    assert [equal(every[i], every[i + 2]) for i in (0, 1, 4, 5)] == [True] * 4
    assert not any(equal(every[i], every[j]) for i, j in ((0, 1), (0, 4), (1, 5), (0, 5)))


def test_shares_of_several_processes_are_the_whole_batch():
    data = Scenes(train=6, val=1, size=32)
    whole = list(stream(data, batch=4).batches(0, 3))
    halves = [list(stream(data, batch=4, rank=rank, world=2).batches(0, 3)) for rank in (0, 1)]
    for batch, *parts in zip(whole, *halves, strict=True):
        for name in ("weak", "strong", "label"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_parts_of_a_batch_are_equal_and_in_order(count):
    (batch,) = stream(Numbers(6), batch=6).batches(0, 1)
    parts = batch.chunks(count)
    assert [shown(part) for part in parts] == [
        shown(batch)[i * 6 // count : (i + 1) * 6 // count] for i in range(count)
    ]
    for name in ("weak", "strong", "label"):
        assert {len(getattr(part, name)) for part in parts} == {6 // count}
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))


def test_batches_show_the_images_that_they_name():
    data = Numbers(7)
    reader = stream(data, batch=3)
    batches = list(reader.batches(0, 7))
    assert [shown(batch) for batch in batches] == [list(reader.ids(step)) for step in range(7)]
    assert set(data.read.values()) == {3}
    grey = 10 + int(reader.ids(0)[0][1:])
    assert (batches[0].weak[0][:, batches[0].label[0] != 255] == grey).all()


def test_a_batch_depends_on_its_step_alone():
    data = Scenes(train=5, val=1, size=32)
    every = list(stream(data).batches(0, 5))
    tail = list(stream(data).batches(3, 5))
    assert [equal(a, b) for a, b in zip(every[3:], tail, strict=True)] == [True, True]
    assert not equal(every[3], every[4])
    same = stream(data)
    next(same.batches(0, 5))
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert equal(next(same.batches(4, 5)), every[4])
    assert list(same.batches(3, 3)) == []


def test_an_image_comes_again_with_other_views():
    data = Numbers(1)
    first, second = stream(data, batch=1, views=ViewConfig(crop=64, long_side=(24, 64))).batches(0, 2)
    assert shown(first) == shown(second)
    assert not torch.equal(first.label, second.label)


def test_within_a_batch_views_differ():
    (batch,) = stream(Numbers(1), batch=6, views=ViewConfig(crop=64, long_side=(24, 64))).batches(0, 1)
    assert len({label.numpy().tobytes() for label in batch.label}) >= 5


def test_workers_change_nothing():
    data = Scenes(train=4, val=1, size=32)
    alone, helped = (list(stream(data, workers=workers).batches(1, 4)) for workers in (0, 1))
    assert [equal(a, b) for a, b in zip(alone, helped, strict=True)] == [True] * 3


@pytest.mark.parametrize("change", [{"seed": 1}, {"name": "teacher1"}])
def test_seeds_and_names_give_other_orders_and_views(change):
    data = Numbers(16)
    ours, theirs = stream(data, batch=16), stream(data, batch=16, **change)
    assert sorted(ours.ids(0)) == sorted(theirs.ids(0))
    assert ours.ids(0) != theirs.ids(0)
    one = Numbers(1)
    assert not equal(next(stream(one).batches(0, 1)), next(stream(one, **change).batches(0, 1)))


def test_the_unlabelled_stream_reads_no_label_and_marks_the_padding():
    data = Numbers(4, readable=False)
    reader = stream(data, labeled=False, views=ViewConfig(crop=64, long_side=(24, 48)))
    for step, batch in enumerate(reader.batches(0, 4)):
        assert set(batch.label.unique().tolist()) == {0, 255}
        for weak, label, id in zip(batch.weak, batch.label, reader.ids(step), strict=True):
            assert (weak[:, label == 0] == 10 + int(id[1:])).all()
            assert (weak[:, label == 255] == torch.tensor([124, 116, 104])[:, None]).all()
    with pytest.raises(AssertionError, match="read a label"):
        next(stream(data).batches(0, 1))


def test_both_streams_show_the_same_pixels():
    data = Scenes(train=5, val=1, size=32)
    labeled, unlabeled = (next(stream(data, labeled=each).batches(2, 3)) for each in (True, False))
    assert torch.equal(labeled.weak, unlabeled.weak) and torch.equal(labeled.strong, unlabeled.strong)
    assert torch.equal(labeled.label == 255, unlabeled.label == 255)
    assert len(labeled.label.unique()) > len(unlabeled.label.unique())


def test_the_global_generator_is_untouched():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    assert len(list(islice(stream(Numbers(3)).batches(0, 3), 2))) == 2
    assert torch.equal(torch.rand(2), expected)


def test_sizes_that_do_not_match_are_found():
    data = Numbers(2)
    data.label = lambda id: np.zeros((40, 41), np.uint8)
    with pytest.raises(UserError, match="an image of 40 x 40 and a mask of 41 x 40"):
        next(stream(data).batches(0, 1))
