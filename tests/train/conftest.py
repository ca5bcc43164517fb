import pytest

from psmt_viz.config import configure
from psmt_viz.data.scenes import Scenes
from psmt_viz.train.session import train

TINY = {
    "split": "1_4",
    "crop": 48,
    "long_side": (40, 72),
    "batch_labeled": 2,
    "batch_unlabeled": 2,
    "steps_per_epoch": 2,
    "epochs": 3,
    "warmup_epochs": 1,
    "ramp_epochs": 2,
    "aspp_channels": 8,
    "aspp_rates": (1, 2),
    "low_channels": 4,
    "decoder_channels": 8,
    # After so few steps every probability is near 1/7; all of them shall count.
    "confidence": 0.0,
    "assist_top": 2,
    "ema": 0.9,
    "lr": 0.02,
}


@pytest.fixture(scope="session")
def scenes():
    return Scenes(train=16, val=4, size=64)


@pytest.fixture(scope="session")
def tiny():
    """Makes the settings of a run of seconds: 2 steps an epoch, 1 epoch of warm-up and 3 more."""
    return lambda recipe="supplement", **values: configure("scenes", {**TINY, **values}, recipe=recipe)


@pytest.fixture(scope="session")
def finished(tiny, scenes, tmp_path_factory):
    """The folder of an uninterrupted run, with what its callback saw; to be read only."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    folder.mkdir()
    reports = []
    train(tiny(), scenes, folder, on_epoch=reports.append)
    return folder, reports
