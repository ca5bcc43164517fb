import pytest

from psmt_viz.data.dataset import Split
from psmt_viz.errors import UserError
from psmt_viz.presets import configure
from psmt_viz.train.plan import Plan, learning_rate, resolve, unsup_weight


def split(labeled, unlabeled):
    return Split(tuple(f"l{i}" for i in range(labeled)), tuple(f"u{i}" for i in range(unlabeled)))


def config(**values):
    lengths = {
        "drop_last": True,
        "warmup_epochs": 2,
        "epochs": 7,
        "ramp_epochs": 3,
        "batch_labeled": 3,
        "batch_unlabeled": 4,
    }
    return configure("scenes", {**lengths, "steps_per_epoch": None, **values})


def plan(steps, warmup, ramp, total, micro_batches=1):
    lengths = {"steps_per_epoch": steps, "warmup_steps": warmup, "ramp_steps": ramp, "total_steps": total}
    return Plan(**lengths, micro_batches=micro_batches)


@pytest.mark.parametrize(
    ("values", "labeled", "unlabeled", "expected"),
    [
        # 23 // 4 = 5 batches of unlabelled images in each of 7 epochs, 10 // 3 = 3 of labelled ones in 2 before.
        ({}, 10, 23, plan(5, 6, 15, 41)),
        ({"steps_per_epoch": 8}, 10, 23, plan(8, 6, 24, 62)),
        ({"warmup_steps": 11}, 10, 23, plan(5, 11, 15, 46)),
        ({"warmup_steps": 0}, 10, 23, plan(5, 0, 15, 35)),
        # The last batches of 3 and of 1 are kept.
        ({"drop_last": False}, 10, 23, plan(6, 8, 18, 50)),
        ({"drop_last": None}, 10, 23, plan(6, 8, 18, 50)),
        # The control takes the same steps as PS-MT, and has nothing that ramps up.
        ({"method": "supervised"}, 10, 23, plan(5, 6, 0, 41)),
        # Every image labelled: 23 // 3 = 7 batches of labelled ones.
        ({"method": "supervised"}, 23, 0, plan(7, 14, 0, 63)),
        ({"method": "supervised", "steps_per_epoch": 2}, 23, 0, plan(2, 14, 0, 28)),
        ({"warmup_epochs": 0, "ramp_epochs": 0, "epochs": 1}, 1, 4, plan(1, 0, 0, 1)),
        ({"ramp_epochs": 0.5}, 10, 24, plan(6, 6, 3, 48)),
        # Fewer labelled images than a batch holds: the stream goes round.
        ({"steps_per_epoch": 1}, 1, 1, plan(1, 2, 3, 9)),
        # Two GPUs: each has 5 of the 9 images, one of which twice, and so one batch of 4 more than without.
        ({"batch_labeled": 2, "batch_unlabeled": 10, "images_per_gpu": 1}, 4, 19, plan(2, 4, 6, 18)),
    ],
)
def test_epochs_become_steps(values, labeled, unlabeled, expected):
    found = resolve(config(**values), split(labeled, unlabeled))
    assert found == expected
    told = {"parts" if name == "micro_batches" else name: value for name, value in vars(expected).items()}
    assert list(found.as_dict().items()) == list(told.items())


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
def test_a_batch_is_cut_over_devices_and_micro_batches_and_takes_the_same_steps(devices, accumulate):
    values = {"batch_labeled": 8, "batch_unlabeled": 4, "accumulate": accumulate}
    assert resolve(config(**values), split(10, 23), devices=devices) == plan(5, 2, 15, 37, micro_batches=4)


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


def test_an_incomplete_batch_is_kept_where_the_published_code_has_one_gpu():
    values = {"batch_labeled": 4, "batch_unlabeled": 4, "drop_last": None}
    assert resolve(config(**values), split(10, 22)).steps_per_epoch == 6
    assert resolve(config(**values, images_per_gpu=4), split(10, 22)).steps_per_epoch == 6
    for several in ({"images_per_gpu": 2}, {"accumulate": 2}):
        assert resolve(config(**values, **several), split(10, 22)).steps_per_epoch == 5
        with pytest.raises(UserError, match="one micro-batch and one group with an incomplete last batch, got"):
            resolve(config(**{**values, "drop_last": False}, **several), split(10, 22))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"images_per_gpu": 2}, r"--batch-labeled a multiple of --images-per-gpu 2, got 3"),
        ({"images_per_gpu": 1}, r"--batch-unlabeled that micro-batches and groups can share equally, got 4, 1 micro"),
        (
            {"images_per_gpu": 2, "batch_labeled": 6, "batch_unlabeled": 6, "accumulate": 2},
            None,  # 3 groups and 2 micro-batches cut six images into single ones
        ),
        (
            {"images_per_gpu": 4, "batch_labeled": 12, "batch_unlabeled": 4, "accumulate": 4},
            r"--batch-unlabeled .*, got 4, 4 micro-batches and 3 groups",
        ),
    ],
)
def test_groups_that_cannot_be_shared_are_refused(values, words):
    if words is None:
        assert resolve(config(**values), split(10, 23)).micro_batches == 2
        return
    with pytest.raises(UserError, match=words):
        resolve(config(**values), split(10, 23))


@pytest.mark.parametrize(
    ("steps", "warmup", "ends"),
    [(5, 10, [5, 10, 15, 20]), (5, 12, [5, 10, 12, 17, 22]), (5, 3, [3, 8, 13]), (5, 0, [5, 10])],
)
def test_epochs_end_with_the_warm_up_and_then_each_after_as_many_steps(steps, warmup, ends):
    lengths = plan(steps, warmup, 0, warmup + 2 * steps)
    assert [lengths.epoch_end(epoch) for epoch in range(len(ends))] == ends


def test_rate_and_weight_start_after_the_warm_up():
    settings = config(lr=0.1, unsup_weight=2.0, ramp="cosine")
    lengths = plan(5, 6, 10, 41)
    assert [learning_rate(settings, lengths, step) for step in (0, 5, 6)] == [0.1, 0.1, 0.1]
    assert learning_rate(settings, lengths, 40) == pytest.approx(0.1 * (1 / 35) ** 0.9, rel=1e-12)
    assert [unsup_weight(settings, lengths, step) for step in (0, 5, 6, 11, 16, 40)] == pytest.approx(
        [0, 0, 0, 1, 2, 2]
    )


@pytest.mark.parametrize("batch", [2, 30])
def test_the_controls_length_is_that_of_psmt_or_refused(batch):
    """Its epoch is a pass over the unlabelled images, so their batch must be one that PS-MT could have."""
    values = {"batch_labeled": 32, "batch_unlabeled": batch, "images_per_gpu": 8}
    for method in ("psmt", "supervised"):
        with pytest.raises(
            UserError, match=rf"--batch-unlabeled that micro-batches and groups can share equally, got {batch}"
        ):
            resolve(config(**values, method=method), split(64, 128))
