import shutil

import pytest

from psmt_viz.data.scenes import Scenes
from psmt_viz.errors import UserError
from psmt_viz.train.session import train
from tests.train.run_folders import contents


def test_folders_that_hold_another_run(tiny, scenes, finished, folder):
    shutil.copytree(finished[0], folder, dirs_exist_ok=True)
    before = contents(folder)
    with pytest.raises(UserError, match=r"no run in .*run, got one that was started before; give --resume .*--out"):
        train(tiny(), scenes, folder)
    for config, data in (
        (tiny(eps=3.0), scenes),
        (tiny(epochs=4), scenes),
        (tiny(accumulate=2), scenes),  # other micro-batches, so other statistics
        (tiny("official-code"), scenes),
        (tiny(), Scenes(train=16, val=4, size=64, seed=1)),
    ):
        with pytest.raises(UserError, match=r"the settings and data that .*run was started with, got others; repeat"):
            train(config, data, folder, resume=True)
    assert contents(folder) == before
