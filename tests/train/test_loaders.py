import pytest
import torch

from psmt_viz.train.loaders import open_loaders
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
    return next(loader.batches(step, step + 1))


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
