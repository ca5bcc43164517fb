import pytest
import torch

from psmt_viz.data.scenes import Scenes
from psmt_viz.errors import UserError
from psmt_viz.train.session import train
from tests.train.run_folders import during_step, failing, state


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            torch.OutOfMemoryError("no 3 GiB left"),
            r"fits into .* memory, got no 3 GiB left; raise --accumulate, .*--resume",
        ),
        (
            ValueError("Expected more than 1 value per channel when training, got input size [1, 8, 1, 1]"),
            "several values for BatchNorm, got one image .* of one pixel; raise --crop",
        ),
    ],
)
def test_failures_with_a_known_cause_are_explained(control, folder, monkeypatch, error, words):
    during_step(monkeypatch, 4, failing(error))
    with pytest.raises(UserError, match=words) as caught:
        train(control[0], Scenes(train=16, val=4, size=64), folder)
    assert "\n" not in str(caught.value)
    assert state(folder)["step"] == 2


@pytest.mark.parametrize("error", [ValueError("another"), RuntimeError("connection closed"), ZeroDivisionError()])
def test_other_failures_are_left_as_they_are(scenes, control, folder, monkeypatch, error):
    during_step(monkeypatch, 1, failing(error))
    with pytest.raises(type(error)) as caught:
        train(control[0], scenes, folder)
    assert caught.value is error
