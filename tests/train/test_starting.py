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
    for config, data, others in (
        (tiny(eps=3.0), scenes, r"--eps 3\.0 in place of 2\.0; repeat"),
        (tiny(epochs=4), scenes, r"--epochs 4 in place of 3, total_steps 10 in place of 8; repeat"),
        # Other micro-batches, so other statistics.
        (tiny(accumulate=2), scenes, r"parts 2 in place of 1; repeat"),
        (tiny("official-code"), scenes, r"recipe official-code in place of supplement, "),
        (tiny(), Scenes(train=16, val=4, size=64, seed=1), r"data of other sha256"),
    ):
        with pytest.raises(UserError, match=rf"that .*run was started with, got others: {others}"):
            train(config, data, folder, resume=True)
    assert contents(folder) == before
