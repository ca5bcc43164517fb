import math
import warnings

import pytest

from psmt_viz.data.dataset import Split
from psmt_viz.models.build import build_networks
from psmt_viz.train import notices, trainer
from psmt_viz.train.notices import warn_before, warn_of_epoch, warn_of_waiting
from psmt_viz.train.session import train
from psmt_viz.train.waiting import Waiting


@pytest.fixture
def told(recwarn):
    return lambda: [str(each.message) for each in recwarn]


def split_of(scenes, count):
    ids = scenes.ids("train")
    return Split(ids[:count], ids[count:])


def test_a_sound_run_is_not_warned_of(tiny, scenes):
    row = {"epoch": 3, "confident_fraction": 0.4, "teacher_disagreement": 0.01}
    warm_up = {"epoch": 1, "confident_fraction": math.nan, "teacher_disagreement": math.nan}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_before(tiny(), scenes, split_of(scenes, 16))
        for each in (row, warm_up):
            warn_of_epoch(each, tiny())


def test_an_unsupervised_weight_of_0(tiny, scenes, told):
    warn_before(tiny(unsup_weight=0.0), scenes, split_of(scenes, 16))
    assert told() == ["the unsupervised loss has weight 0, so the unlabelled images teach nothing"]
    warn_before(tiny(unsup_weight=0.0, method="supervised"), scenes, split_of(scenes, 16))
    assert len(told()) == 1


def test_more_images_in_a_batch_than_labelled_ones(tiny, scenes, told):
    warn_before(tiny(batch_labeled=18), scenes, split_of(scenes, 16))
    (words,) = told()
    assert words.startswith("--batch-labeled 18 is more than the 16 labelled images")


def test_classes_without_a_labelled_pixel_are_named(tiny, scenes, told):
    split = split_of(scenes, 1)
    present = {int(value) for value in scenes.label(split.labeled[0]).ravel()} - {255}
    missing = [name for index, name in enumerate(scenes.classes) if index not in present]
    assert 0 < len(missing) < len(scenes.classes)
    warn_before(tiny(batch_labeled=1), scenes, split)
    (words,) = told()
    assert words.startswith(f"no labelled pixel of {', '.join(missing)} in split 1_4")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"confident_fraction": 0.0}, "epoch 3: no pixel's pseudo-label reaches --confidence 0"),
        ({"teacher_disagreement": 0.0}, "epoch 3: the two teachers agree on every pixel"),
    ],
)
def test_epochs_that_taught_nothing(tiny, told, change, words):
    warn_of_epoch({"epoch": 3, "confident_fraction": 0.4, "teacher_disagreement": 0.1, **change}, tiny())
    (found,) = told()
    assert found.startswith(words)


@pytest.mark.parametrize(
    ("share", "seconds", "told_of"),
    [(0.11, 100, True), (0.09, 1000, False), (0.9, 10, False), (0.42, 60, True), (math.nan, 1000, False)],
)
def test_waiting_for_images(told, share, seconds, told_of):
    assert warn_of_waiting({"epoch": 7, "seconds": seconds, "data_wait": share}, workers=3) == told_of
    start = f"epoch 7: {share:.0%} of the time went into waiting for images; give more --workers than 3 ("
    assert [each.startswith(start) and each.endswith(" or --cache on") for each in told()] == [True] * told_of


def test_waiting_is_told_of_once_a_run(tiny, blocks, folder, told, monkeypatch):
    monkeypatch.setattr(Waiting, "seconds", lambda _: 50.0)
    monkeypatch.setattr(notices, "_LONG", 1.0)
    train(tiny(**SHORT), blocks, folder)
    assert [each[:8] for each in told()] == ["epoch 1:"]


def test_a_split_that_shows_every_class_is_not_warned_of(tiny, blocks):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_before(tiny(), blocks, blocks.split("1_4"))


SHORT = {"split": "1_2", "warmup_epochs": 0, "steps_per_epoch": 1, "epochs": 2, "ema": 0.999, "seed": 2}
"""Teachers whose first heads favour different classes, and that hardly move, so that they disagree."""


def test_a_sound_run_says_nothing(tiny, blocks, folder, told):
    train(tiny(**SHORT), blocks, folder)
    assert told() == []


@pytest.mark.parametrize(
    "case",
    [  # Settings, words of the warning, how often it comes
        ({"confidence": 0.999}, "no pixel's pseudo-label reaches --confidence 0.999", 2),
        ({"confidence": 0.999, "method": "supervised"}, "no pixel", 0),
        ({"unsup_weight": 0.0}, "the unsupervised loss has weight 0", 1),
        ({"batch_labeled": 9}, "--batch-labeled 9 is more than the 8 labelled images", 1),
    ],
)
def test_a_run_goes_on_under_its_warnings(tiny, blocks, folder, told, case):
    values, words, times = case
    train(tiny(**SHORT, **values), blocks, folder)
    assert len([each for each in told() if words in each]) == len(told()) == times
    assert (folder / "evaluation.csv").exists()


def alike(*args, **given):
    """Builds teachers that see one class everywhere."""
    networks = build_networks(*args, **given)
    for teacher in networks.teachers.values():
        teacher.classifier.bias.data[0] = 1000
    return networks


def test_teachers_that_agree_are_told_of_in_each_epoch(tiny, blocks, folder, told, monkeypatch):
    monkeypatch.setattr(trainer, "build_networks", alike)
    train(tiny(**SHORT, perturbation="none"), blocks, folder)
    assert [each.split(",", maxsplit=1)[0] for each in told()] == [
        f"epoch {epoch}: the two teachers agree on every pixel" for epoch in (1, 2)
    ]
