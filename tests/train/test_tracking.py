import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from psmt_viz.errors import UserError
from psmt_viz.results import TrainingBatch
from psmt_viz.train.tracking import TensorBoard, open_trackers

CREAM = (224, 224, 192)
MINE = """
class Mine:
    def __init__(self, folder):
        self.folder, self.seen, self.closed = folder, [], 0

    def scalars(self, step, values):
        self.seen.append((step, dict(values)))

    def images(self, step, batch):
        self.seen.append((step, batch))

    def close(self):
        self.closed += 1


class Half:
    LAST = None

    def __init__(self, folder):
        pass

    def close(self):
        pass


class Demanding(Mine):
    def __init__(self, folder, project):
        pass


mines = []


def remembered(folder):
    mines.append(Mine(folder))
    return mines[-1]


number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module of the user's in the working directory, which is not on Python's path."""
    name = f"tracker_of_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each not in ("", str(tmp_path))])
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    label = np.array([[0, 1, 255], [2, 2, 0]], np.uint8)
    confidence = np.array([[0.0, 0.2, 0.4], [0.6, 1.0, np.nan]], np.float32)
    return TrainingBatch(
        classes=("ground", "tree", "house"),
        columns={
            "weak view": rng.integers(0, 256, (2, 2, 3, 3)).astype(np.uint8),
            "truth or pseudo-label": np.stack([label, label[::-1]]),
        },
        confidence=np.stack([confidence, np.full((2, 3), np.nan, np.float32)]),
    )


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()


def scalars(folder):
    """Name -> step -> value, as TensorBoard shows them."""
    shown = events(folder)
    return {name: {each.step: each.value for each in shown.Scalars(name)} for name in shown.Tags()["scalars"]}


def pictures(folder):
    """Tag -> (H, W, 3), the first one written."""
    shown = events(folder)
    encoded = {tag: shown.Images(tag)[0].encoded_image_string for tag in shown.Tags()["images"]}
    return {tag: np.asarray(Image.open(BytesIO(each)).convert("RGB")) for tag, each in encoded.items()}


def test_scalars_come_back_with_their_names_and_steps(tmp_path):
    (tracker,) = open_trackers(True, [], tmp_path, 0)
    tracker.scalars(1, {"loss_sup": 2.5, "learning_rate": 0.25})
    tracker.scalars(2, {"loss_sup": 1.5})
    # They are on disk before the tracker is closed.
    assert scalars(tmp_path) == {"loss_sup": {1: 2.5, 2: 1.5}, "learning_rate": {1: 0.25}}
    tracker.close()


def test_images_come_back_as_grids_in_their_colours(tmp_path, batch):
    tracker = TensorBoard(tmp_path, purge_step=0)
    tracker.images(4, batch)
    tracker.close()
    shown = pictures(tmp_path)
    assert set(shown) == {"batch/weak view", "batch/truth or pseudo-label", "batch/confidence"}
    assert {picture.shape for picture in shown.values()} == {(2, 6, 3)}  # two images of 2 x 3, side by side
    assert (shown["batch/weak view"] == np.concatenate(batch.columns["weak view"], axis=1)).all()
    black, maroon, green = (0, 0, 0), (128, 0, 0), (0, 128, 0)
    top, bottom = [black, maroon, CREAM], [green, green, black]
    assert shown["batch/truth or pseudo-label"].tolist() == [
        [list(color) for color in top + bottom],
        [list(color) for color in bottom + top],
    ]
    greys = [[0, 51, 102], [153, 255, None]]
    assert shown["batch/confidence"].tolist() == [
        [list(CREAM) if grey is None else [grey] * 3 for grey in [*row, None, None, None]] for row in greys
    ]
    assert [each.step for each in events(tmp_path).Images("batch/confidence")] == [4]


def test_a_batch_without_confidence_has_no_such_picture(tmp_path, batch):
    tracker = TensorBoard(tmp_path, purge_step=0)
    tracker.images(1, TrainingBatch(classes=batch.classes, columns=batch.columns))
    tracker.close()
    assert set(pictures(tmp_path)) == {"batch/weak view", "batch/truth or pseudo-label"}


def test_a_resumed_run_hides_what_came_after_its_checkpoint(tmp_path):
    first = TensorBoard(tmp_path, purge_step=0)
    for step in (1, 2, 3, 4):
        first.scalars(step, {"loss_sup": float(step)})
    first.close()
    assert set(scalars(tmp_path)["loss_sup"]) == {1, 2, 3, 4}
    second = TensorBoard(tmp_path, purge_step=2)
    second.scalars(3, {"loss_sup": 30.0})
    second.close()
    assert scalars(tmp_path)["loss_sup"] == {1: 1.0, 2: 2.0, 3: 30.0}


def test_without_tensorboard_nothing_is_opened(tmp_path):
    assert open_trackers(False, [], tmp_path, 0) == []
    assert not list(tmp_path.iterdir())


def test_tensorboard_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"TensorBoard.*tensorboard.*pip install psmt-viz\[tracking\]"):
        open_trackers(True, [], tmp_path, 0)


def test_a_tracker_of_the_users_own_gets_the_folder_and_everything_else(tmp_path, module, batch):
    board, mine, same = open_trackers(True, [f"{module}:Mine", f"{module}:remembered"], tmp_path, 0)
    assert isinstance(board, TensorBoard)
    assert type(mine).__module__ == module
    assert mine.folder == same.folder == tmp_path
    mine.scalars(3, {"loss_sup": 1.0})
    mine.images(3, batch)
    assert mine.seen == [(3, {"loss_sup": 1.0}), (3, batch)]
    board.close()


@pytest.mark.parametrize(
    "name", ["{}", "{}:", ":Mine", "{}.Mine", "{}:Mine:more", "{}.py:Mine()", "a b:Mine", "./{}:X"]
)
def test_a_name_of_another_form_is_refused(tmp_path, module, name):
    with pytest.raises(UserError, match=r"expected --tracker module:Class, got .*; write it like"):
        open_trackers(False, [name.format(module)], tmp_path, 0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{}_absent:Mine", "expected a module .*_absent.*No module named .*_absent.*spelling"),
        ("{}.deeper:Mine", "expected a module .*is not a package"),
        ("{}:Mime", "expected a class Mime .*none in .*py; did you mean .*:Mine"),
        ("{}:Xyzzy", "expected a class Xyzzy .*check the spelling"),
        ("{}:Demanding", r"to take the run folder, got missing a required argument: 'project'.*Demanding\(folder\)"),
        ("{}:number", "to take the run folder, got 3 is not a callable"),
        ("{}:Half", "with scalars, images, close, got none of scalars, images; define scalars, images"),
    ],
)
def test_a_name_that_is_no_tracker_is_refused(tmp_path, module, name, words):
    with pytest.raises(UserError, match=words) as caught:
        open_trackers(False, [name.format(module)], tmp_path, 0)
    assert "\n" not in str(caught.value)


def test_a_module_that_misses_another_says_which(tmp_path, module):
    (tmp_path / "leaning_tracker.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(UserError, match=r"leaning_tracker.*No module named 'not_installed_anywhere'"):
        open_trackers(False, ["leaning_tracker:Mine"], tmp_path, 0)


def test_trackers_that_opened_are_closed_when_another_is_refused(tmp_path, module):
    with pytest.raises(UserError, match="Half"):
        open_trackers(False, [f"{module}:remembered", f"{module}:Half"], tmp_path, 0)
    assert [each.closed for each in sys.modules[module].mines] == [1]
