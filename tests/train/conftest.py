import pytest

from psmt_viz.data.scenes import Scenes
from psmt_viz.presets import configure
from psmt_viz.train.session import train
from tests.train.by_hand import TINY


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


@pytest.fixture(scope="session")
def control(tiny, scenes, tmp_path_factory):
    """The settings and the folder of an uninterrupted supervised run; to be read only."""
    config, made = tiny(method="supervised"), tmp_path_factory.mktemp("control") / "run"
    made.mkdir()
    train(config, scenes, made)
    return config, made


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "run"
    made.mkdir()
    return made
