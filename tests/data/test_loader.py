from collections import Counter

import numpy as np
import pytest
import torch

from psmt_viz.config import ViewConfig
from psmt_viz.data import loader as module
from psmt_viz.data import views as views_module
from psmt_viz.data.loader import InfiniteLoader
from psmt_viz.data.scenes import Scenes
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


def loader(data, **values):
    given = {"labeled": True, "views": VIEWS, "batch": 2, "seed": 0, "name": "labeled", **values}
    return InfiniteLoader(data, data.ids("train"), **given)


def batches_of(reader, first, last):
    return [reader.batch(step) for step in range(first, last)]


def equal(first, second):
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in ("weak", "strong", "label"))


def shown(batch):
    """The ids that a batch's labels tell."""
    return [f"n{int(label[label != 255].unique())}" for label in batch.label]


def test_an_order_is_drawn_once_an_epoch(monkeypatch):
    """Of 100,000 images it takes a millisecond."""
    drawn, derive = [], module.derived_seed

    def spy(seed, *words):
        if words[0] == "order":
            drawn.append(words[1])
        return derive(seed, *words)

    monkeypatch.setattr(module, "derived_seed", spy)
    infinite = loader(Numbers(7), batch=3)
    ids = [id for step in range(14) for id in infinite.ids(step)]
    assert drawn == list(range(6))
    fresh = [id for step in range(14) for id in loader(Numbers(7), batch=3).ids(step)]
    assert ids == fresh
    assert infinite.ids(0) == tuple(ids[:3])  # an earlier one is drawn again


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 10])
def test_every_image_comes_once_before_any_comes_again(batch):
    data = Numbers(7)
    ids = [id for step in range(21) for id in loader(data, batch=batch).ids(step)]
    epochs = [ids[start : start + 7] for start in range(0, 7 * (len(ids) // 7), 7)]
    assert len(epochs) >= 3
    assert all(sorted(epoch) == sorted(data.ids("train")) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1  # each epoch has its own order


WAYS = [
    # Batch, stages, batches of an epoch, the last kept?
    (2, [], 1, False),
    (10, [], 1, False),
    (2, [(0, 3)], 3, False),  # 6 of 7 images an epoch
    (3, [(0, 2)], 2, False),
    (7, [(0, 1)], 1, False),
    (2, [(0, 8)], 3, False),  # 3 batches, replayed to 8 steps
    (2, [(0, 4)], 4, True),  # the last batch has one image
    (3, [(0, 5)], 3, True),  # and is replayed with the others
    (2, [(0, 3), (6, 5)], 3, False),  # two epochs of a warm-up, then repeats
    (2, [(0, 3), (5, 4)], 3, False),  # a second epoch that is cut short
    (4, [(3, 2)], 2, False),  # an eighth image, the first once more
    (10, [(0, 2)], 1, False),  # more than there are
]


def expected_places(batch, stages, epoch_batches, keep_last, steps):
    """The (epoch, image) pairs of each step, by going through the steps one after the other."""
    first = stages[0][0] if stages else 0
    if not stages:
        endless = [(epoch, image) for epoch in range(steps * batch) for image in range(7)]
        return [endless[step * batch : (step + 1) * batch] for step in range(steps)]
    found, epoch, place, lengths = [], -1, 0, dict(stages)
    left = 0
    for step in range(first, steps):
        if step in lengths:
            length, left = lengths[step], 0
        if left == 0:
            epoch, place, left = epoch + 1, 0, length
        images = [place * batch + number for number in range(batch)]
        found.append([(epoch, image) for image in images if image < 7 or not keep_last])
        place, left = (place + 1) % epoch_batches, left - 1
    return found


@pytest.mark.parametrize(("batch", "stages", "epoch_batches", "keep_last"), WAYS)
@pytest.mark.parametrize("world_size", [1, 2, 5])
def test_epochs_repeats_and_shares_against_counting(batch, stages, epoch_batches, keep_last, world_size):
    if batch % world_size or keep_last:
        world_size = 1 if keep_last else batch
    data, orders = Numbers(7), loader(Numbers(7), batch=7)
    given = {
        "batch": batch,
        "stages": stages,
        "epoch_batches": epoch_batches,
        "keep_last": keep_last,
        "world_size": world_size,
    }
    ranks = [loader(data, rank=rank, **given) for rank in range(world_size)]
    first = stages[0][0] if stages else 0
    for step, places in enumerate(expected_places(batch, stages, epoch_batches, keep_last, 14), start=first):
        shares = [reader.ids(step) for reader in ranks]
        # The order of an epoch is that of an infinite loader's batch of all images.
        assert sum(shares, ()) == tuple(orders.ids(epoch)[image % 7] for epoch, image in places)
        assert keep_last or {len(share) for share in shares} == {batch // world_size}


def test_an_epoch_that_leaves_out_images_begins_anew():
    data = Numbers(7)
    reader = loader(data, batch=2, stages=[(0, 3)], epoch_batches=3)
    epochs = [sum((reader.ids(step) for step in range(3 * epoch, 3 * epoch + 3)), ()) for epoch in range(6)]
    assert all(len(set(epoch)) == 6 for epoch in epochs)
    assert len(set(epochs)) > 1
    assert len({next(iter(set(data.ids("train")) - set(epoch))) for epoch in epochs}) > 1  # not always the same one


def test_a_kept_last_batch_shows_every_image_in_an_epoch():
    reader = loader(Numbers(7), batch=3, stages=[(0, 3)], epoch_batches=3, keep_last=True)
    batches = batches_of(reader, 0, 3)
    assert [len(batch.label) for batch in batches] == [3, 3, 1]
    assert sorted(id for batch in batches for id in shown(batch)) == [f"n{i}" for i in range(7)]


def test_repeated_batches_come_with_their_views_and_new_epochs_with_others():
    data = Scenes(train=5, val=1, size=32)
    every = batches_of(loader(data, stages=[(0, 4)], epoch_batches=2), 0, 8)
    assert [equal(every[i], every[i + 2]) for i in (0, 1, 4, 5)] == [True] * 4
    assert not any(equal(every[i], every[j]) for i, j in ((0, 1), (0, 4), (1, 5), (0, 5)))


def test_shares_of_several_processes_are_the_whole_batch():
    data = Scenes(train=6, val=1, size=32)
    whole = batches_of(loader(data, batch=4), 0, 3)
    halves = [batches_of(loader(data, batch=4, rank=rank, world_size=2), 0, 3) for rank in (0, 1)]
    for batch, *parts in zip(whole, *halves, strict=True):
        for name in ("weak", "strong", "label"):
            assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_chunks_of_a_batch_are_equal_and_in_order(count):
    batch = loader(Numbers(6), batch=6).batch(0)
    parts = batch.chunks(count)
    assert [shown(part) for part in parts] == [
        shown(batch)[i * 6 // count : (i + 1) * 6 // count] for i in range(count)
    ]
    for name in ("weak", "strong", "label"):
        assert {len(getattr(part, name)) for part in parts} == {6 // count}
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(batch, name))


def test_batches_show_the_images_that_they_name():
    data = Numbers(7)
    reader = loader(data, batch=3)
    batches = batches_of(reader, 0, 7)
    assert [shown(batch) for batch in batches] == [list(reader.ids(step)) for step in range(7)]
    assert set(data.read.values()) == {3}
    grey = 10 + int(reader.ids(0)[0][1:])
    assert (batches[0].weak[0][:, batches[0].label[0] != 255] == grey).all()


def test_a_batch_depends_on_its_step_alone():
    data = Scenes(train=5, val=1, size=32)
    every = batches_of(loader(data), 0, 5)
    tail = batches_of(loader(data), 3, 5)
    assert [equal(a, b) for a, b in zip(every[3:], tail, strict=True)] == [True, True]
    assert not equal(every[3], every[4])
    same = loader(data)
    same.batch(0)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert equal(same.batch(4), every[4])


def test_an_image_comes_again_with_other_views():
    data = Numbers(1)
    first, second = batches_of(loader(data, batch=1, views=ViewConfig(crop=64, long_side=(24, 64))), 0, 2)
    assert shown(first) == shown(second)
    assert not torch.equal(first.label, second.label)


def test_within_a_batch_views_differ():
    batch = loader(Numbers(1), batch=6, views=ViewConfig(crop=64, long_side=(24, 64))).batch(0)
    assert len({label.numpy().tobytes() for label in batch.label}) >= 5


@pytest.mark.parametrize("views", [("weak",), ("strong",), ()])
def test_a_view_that_is_not_asked_for_is_not_made_and_changes_no_other(views):
    reader = loader(Scenes(train=5, val=1, size=32))
    both, some = reader.batch(3), reader.batch(3, views)
    assert set(some.images) == set(views)
    assert torch.equal(some.label, both.label)
    assert all(torch.equal(getattr(some, name), getattr(both, name)) for name in views)
    with pytest.raises(LookupError, match=r"no (weak|strong) view was made"):
        some.weak, some.strong  # noqa: B018


@pytest.mark.parametrize("labeled", [True, False])
def test_the_strong_view_is_not_made_where_only_the_weak_one_is_seen(monkeypatch, labeled):
    monkeypatch.setattr(views_module, "apply_colors", None)
    reader = loader(Scenes(train=5, val=1, size=32), labeled=labeled)
    assert reader.batch(0, ("weak",)).weak.shape == (2, 3, 32, 32)
    with pytest.raises(TypeError):
        reader.batch(0)


@pytest.mark.parametrize("change", [{"seed": 1}, {"name": "teacher1"}])
def test_seeds_and_names_give_other_orders_and_views(change):
    data = Numbers(16)
    ours, theirs = loader(data, batch=16), loader(data, batch=16, **change)
    assert sorted(ours.ids(0)) == sorted(theirs.ids(0))
    assert ours.ids(0) != theirs.ids(0)
    one = Numbers(1)
    assert not equal(loader(one).batch(0), loader(one, **change).batch(0))


def test_the_unlabelled_loader_reads_no_label_and_marks_the_padding():
    data = Numbers(4, readable=False)
    reader = loader(data, labeled=False, views=ViewConfig(crop=64, long_side=(24, 48)))
    for step, batch in enumerate(batches_of(reader, 0, 4)):
        assert set(batch.label.unique().tolist()) == {0, 255}
        for weak, label, id in zip(batch.weak, batch.label, reader.ids(step), strict=True):
            assert (weak[:, label == 0] == 10 + int(id[1:])).all()
            assert (weak[:, label == 255] == torch.tensor([124, 116, 104])[:, None]).all()
    with pytest.raises(AssertionError, match="read a label"):
        loader(data).batch(0)


def test_both_loaders_show_the_same_pixels():
    data = Scenes(train=5, val=1, size=32)
    labeled, unlabeled = (loader(data, labeled=each).batch(2) for each in (True, False))
    assert torch.equal(labeled.weak, unlabeled.weak) and torch.equal(labeled.strong, unlabeled.strong)
    assert torch.equal(labeled.label == 255, unlabeled.label == 255)
    assert len(labeled.label.unique()) > len(unlabeled.label.unique())


def test_the_global_generator_is_untouched():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    loader(Numbers(3)).batch(1)
    assert torch.equal(torch.rand(2), expected)


def test_sizes_that_do_not_match_are_found():
    data = Numbers(2)
    data.label = lambda id: np.zeros((40, 41), np.uint8)
    with pytest.raises(UserError, match="an image of 40 x 40 and a mask of 41 x 40"):
        loader(data).batch(0)
