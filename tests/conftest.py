"""A small data set that a small network learns in seconds, and runs trained on it."""

from __future__ import annotations

import os

# Before torch and BLAS start their threads: tests share their machine, with each other too (pytest -n auto).
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

CLASSES = ("background", "red", "green", "blue", "yellow", "white")
COLOURS = np.array([[70, 70, 70], [200, 40, 40], [40, 170, 60], [50, 70, 210], [210, 190, 50], [225, 225, 225]])
SIZES = ((48, 64), (56, 56), (45, 61))
"""Heights and widths, in turn: multiples of 8 and others."""


LONG = (
    *("test_killed.py", "test_processes.py", "test_evidence_driver.py", "test_against_published_step.py"),
    *("test_pages_commands.py", "test_every_command.py", "test_redraw.py", "test_evidence_command.py"),
)
"""Files that take longest: they come first, or one process would be at them when the others have no tests left."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores: tests that watch other processes leave theirs idle."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))


class Blocks:
    """Noisy rectangles, one colour a class; the two top rows are void (255)."""

    name, classes = "blocks", CLASSES

    def __init__(self, *, train: int = 16, val: int = 6) -> None:
        self._ids = {
            part: tuple(f"{part}{i:02d}" for i in range(count)) for part, count in (("train", train), ("val", val))
        }
        self._pairs = {
            id: self._draw(np.random.default_rng([place, index]), *SIZES[index % len(SIZES)])
            for place, ids in enumerate(self._ids.values())
            for index, id in enumerate(ids)
        }

    @staticmethod
    def _draw(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        label = np.zeros((height, width), np.uint8)
        for index in rng.permutation(np.arange(1, len(CLASSES))):
            tall, wide = rng.integers(12, 24, 2)
            row, col = rng.integers(0, height - tall), rng.integers(0, width - wide)
            label[row : row + tall, col : col + wide] = index
        image = np.clip(COLOURS[label] + rng.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)
        label[:2] = 255
        return image, label

    def ids(self, part: str) -> tuple[str, ...]:
        return self._ids[part]

    def split(self, name: str) -> Any:
        from psmt_viz.data.splits import nested_split

        return nested_split(self._ids["train"], name)

    def image(self, id: str) -> np.ndarray:
        return self._pairs[id][0].copy()

    def label(self, id: str) -> np.ndarray:
        return self._pairs[id][1].copy()

    def fingerprint(self) -> dict[str, Any]:
        return {"train": len(self._ids["train"]), "val": len(self._ids["val"])}


SETTINGS: dict[str, Any] = {
    "split": "1_2",
    "crop": 48,
    "long_side": (48, 64),
    "jitter": (0.1, 0.1, 0.1, 0.0),
    "aspp_channels": 16,
    "low_channels": 8,
    "decoder_channels": 24,
    "warmup_steps": 40,
    "epochs": 2,
    "steps_per_epoch": 20,
    "ramp_epochs": 1,
    "batch_labeled": 3,
    "batch_unlabeled": 3,
    "ema": 0.9,
    "lr": 0.2,
    "val_every": 2,
}


@pytest.fixture(scope="session")
def small_settings() -> dict[str, Any]:
    """The settings of `psmt_run` over the preset `scenes`, by flat name; a copy is the caller's."""
    return dict(SETTINGS)


@pytest.fixture(scope="session")
def blocks_folder(once: Any) -> Path:
    """`Blocks` as a VOC-layout folder of 16 + 6 images; nobody writes there."""
    from psmt_viz.data import write_voc

    return once("blocks", lambda folder: write_voc(Blocks(), folder))


@pytest.fixture(scope="session")
def blocks(blocks_folder: Path) -> Any:
    """The folder, opened."""
    from psmt_viz.data import VocFolder

    return VocFolder(blocks_folder)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a folder of a name by a function, for all processes of the tests together; nobody writes there later."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                folder.mkdir(parents=True)
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def psmt_run(blocks_folder: Path, once: Any) -> Path:
    """A PS-MT run of 80 steps (some 6 s) that finds every class; nobody writes there."""
    return once("psmt", lambda folder: _train(blocks_folder, folder, SETTINGS))


@pytest.fixture(scope="session")
def supervised_run(blocks_folder: Path, once: Any) -> Path:
    """A run without teachers, of 12 steps."""
    short = {"method": "supervised", "warmup_steps": 0, "epochs": 1, "steps_per_epoch": 12}
    return once("supervised", lambda folder: _train(blocks_folder, folder, SETTINGS | short))


@pytest.fixture(scope="session")
def networks(psmt_run: Path) -> Any:
    """The networks of `psmt_run`; tests that change them load their own."""
    from psmt_viz import load_run

    return load_run(psmt_run)


def _train(data: Path, folder: Path, settings: dict[str, Any]) -> None:
    from psmt_viz.data import VocFolder
    from psmt_viz.presets import configure
    from psmt_viz.train.session import train

    train(configure("scenes", settings | {"data": str(data)}), VocFolder(data), folder)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs commands in a folder of the test's own (a `commands.Run`)."""
    from tests.commands import runner

    return runner(monkeypatch, tmp_path, capsys)
