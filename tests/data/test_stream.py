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


def drawn(data, steps, *, batch, round_steps=None, replay=False):
    """The numbers of the draws of each step, by going through the rounds one after the other."""
    count, rounds = len(data.ids("train")), []
    for start in range(0, 10_000, count):
        if round_steps is None:
            rounds += range(start, start + count)
            if len(rounds) >= steps * batch:
                return [rounds[step * batch : (step + 1) * batch] for step in range(steps)]
            continue
        used = start
        for _ in range(round_steps):
            if replay and used + batch > start + count and used > start:
                used = start
            rounds.append(list(range(used, used + batch)))
            used += batch
        if len(rounds) >= steps:
            return rounds[:steps]
    raise AssertionError("too many steps")


def names(data, numbers):
    """The images of some draws, from an endless stream of batches of one."""
    single = stream(data, batch=1)
    return tuple(single.ids(number)[0] for number in numbers)


WAYS = [
    # Batch, steps of a round, replayed?
    (2, None, False),
    (10, None, False),
    (2, 3, False),  # 6 of 7 images an epoch, then a new round
    (3, 2, False),
    (7, 1, False),
    (2, 8, True),  # 3 batches, replayed to 8 steps
    (2, 2, True),
    (7, 3, True),
    (4, 5, True),
    (10, 2, True),  # more than there are: one batch, which goes into the next round
]


@pytest.mark.parametrize(("batch", "round_steps", "replay"), WAYS)
@pytest.mark.parametrize("world", [1, 2, 5])
def test_rounds_replays_and_shares_against_counting(batch, round_steps, replay, world):
    if batch % world:
        world = batch
    data = Numbers(7)
    given = {"batch": batch, "round_steps": round_steps, "replay": replay, "world": world}
    ranks = [stream(data, rank=rank, **given) for rank in range(world)]
    for step, numbers in enumerate(drawn(data, 12, batch=batch, round_steps=round_steps, replay=replay)):
        shares = [reader.ids(step) for reader in ranks]
        assert {len(share) for share in shares} == {batch // world}
        assert sum(shares, ()) == names(data, numbers)


def test_a_round_that_leaves_out_images_begins_anew():
    data = Numbers(7)
    reader = stream(data, batch=2, round_steps=3)
    rounds = [sum((reader.ids(step) for step in range(3 * turn, 3 * turn + 3)), ()) for turn in range(6)]
    assert all(len(set(turn)) == 6 for turn in rounds)
    assert len(set(rounds)) > 1
    assert len({next(iter(set(data.ids("train")) - set(turn))) for turn in rounds}) > 1  # not always the same one


def test_replayed_batches_come_with_their_views_and_new_rounds_with_others():
    data = Scenes(train=5, val=1, size=32)
    every = list(stream(data, round_steps=4, replay=True).batches(0, 8))
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
    parts = batch.parts(count)
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
