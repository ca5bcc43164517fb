import pytest

from psmt_viz.data.dataset import Split
from psmt_viz.errors import UserError
from psmt_viz.presets import configure
from psmt_viz.train.plan import Plan, resolve


def split(labeled, unlabeled):
    return Split(tuple(f"l{i}" for i in range(labeled)), tuple(f"u{i}" for i in range(unlabeled)))


def config(**values):
    lengths = {"warmup_epochs": 2, "epochs": 7, "ramp_epochs": 3, "batch_labeled": 3, "batch_unlabeled": 4}
    return configure("scenes", {**lengths, "steps_per_epoch": None, **values})


def plan(steps, warmup, ramp, total, parts=1):
    return Plan(steps_per_epoch=steps, warmup_steps=warmup, ramp_steps=ramp, total_steps=total, parts=parts)


@pytest.mark.parametrize(
    ("values", "labeled", "unlabeled", "expected"),
    [
        # 23 // 4 = 5 batches of unlabelled images an epoch; 2 + 7 epochs.
        ({}, 10, 23, plan(5, 10, 15, 45)),
        ({"steps_per_epoch": 8}, 10, 23, plan(8, 16, 24, 72)),
        # The control takes the same steps as PS-MT.
        ({"method": "supervised"}, 10, 23, plan(5, 10, 15, 45)),
        # Every image labelled: 23 // 3 = 7 batches of labelled ones.
        ({"method": "supervised"}, 23, 0, plan(7, 14, 21, 63)),
        ({"method": "supervised", "steps_per_epoch": 2}, 23, 0, plan(2, 4, 6, 18)),
        ({"warmup_epochs": 0, "ramp_epochs": 0, "epochs": 1}, 1, 4, plan(1, 0, 0, 1)),
        ({"ramp_epochs": 0.5}, 10, 24, plan(6, 12, 3, 54)),
        # Fewer labelled images than a batch holds: the stream goes round.
        ({"steps_per_epoch": 1}, 1, 1, plan(1, 2, 3, 9)),
    ],
)
def test_epochs_become_steps(values, labeled, unlabeled, expected):
    found = resolve(config(**values), split(labeled, unlabeled))
    assert found == expected
    assert found.as_dict() == vars(expected)


def test_data_sets_that_cannot_be_trained_on():
    with pytest.raises(UserError, match="at least 1 labelled image, got none"):
        resolve(config(), split(0, 9))
    with pytest.raises(UserError, match=r"unlabelled images for PS-MT, got none; .*--split .*--method supervised"):
        resolve(config(), split(9, 0))
    with pytest.raises(UserError, match="at least one batch an epoch, got 3 images at batch 4; lower the batch"):
        resolve(config(), split(9, 3))


def test_the_batch_that_is_too_large_is_the_one_named():
    with pytest.raises(UserError, match="at least one batch an epoch, got 2 images at batch 3"):
        resolve(config(method="supervised"), split(2, 0))


@pytest.mark.parametrize(("devices", "accumulate"), [(1, 4), (4, 1), (2, 2)])
def test_a_batch_is_cut_over_devices_and_parts_and_takes_the_same_steps(devices, accumulate):
    values = {"batch_labeled": 8, "batch_unlabeled": 4, "accumulate": accumulate}
    assert resolve(config(**values), split(10, 23), devices=devices) == plan(5, 10, 15, 45, parts=4)


@pytest.mark.parametrize(
    ("values", "devices", "words"),
    [
        (
            {"batch_labeled": 3},
            2,
            r"--batch-labeled that 2 devices x --accumulate 1 can share equally, got 3; .* of 2$",
        ),
        ({"batch_unlabeled": 6, "accumulate": 4, "batch_labeled": 4}, 1, "--batch-unlabeled that 1 devices x .* 4 can"),
        ({"batch_labeled": 6, "accumulate": 2, "batch_unlabeled": 6}, 2, "--batch-labeled .* got 6; .* of 4$"),
        ({"batch_labeled": 2, "batch_unlabeled": 4}, 4, "--batch-labeled .* got 2; .* of 4$"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused(values, devices, words):
    with pytest.raises(UserError, match=words):
        resolve(config(**values), split(10, 23), devices=devices)
