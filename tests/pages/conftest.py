"""A user's disk, and an empty folder on it in which commands run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Run, runner
from tests.pages import documented
from tests.pages.disk import Place, furnished, quick_work


@pytest.fixture(scope="session")
def place(psmt_run: Path, supervised_run: Path, blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folders = (tmp_path_factory.mktemp(name) for name in ("home", "shelf"))
    return furnished(*folders, psmt_run=psmt_run, supervised_run=supervised_run, blocks_folder=blocks_folder)


@pytest.fixture
def few_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in data set with 16 + 6 images in place of 512 + 128."""
    from psmt_viz.data import opening
    from psmt_viz.data.scenes import Scenes

    class Few(Scenes):
        def __init__(self) -> None:
            super().__init__(train=16, val=6)

    monkeypatch.setattr(opening, "Scenes", Few)


@pytest.fixture
def at_work(
    place: Place,
    few_scenes: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """What runs a command in an empty folder of the user's."""
    monkeypatch.setenv("HOME", str(place.home))
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    with quick_work():
        yield runner(monkeypatch, tmp_path, capsys)
    for name in {Path(name).stem for name in documented.files()} - before:
        sys.modules.pop(name, None)
