"""Runs commands inside the test's own process, and checks what all of them have in common."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from psmt_viz.cli import main

COMMANDS = (
    "checks",
    "data",
    "train",
    "evaluate",
    "reliability",
    "perturb",
    "tsne",
    "gradcam",
    "curves",
    "table",
    "report",
    "figures",
)
PROGRESS = re.compile(r"^[a-z ]+ \d+/\d+, .*/s, ETA ")
QUICK = {
    "split": "1_2",
    "crop": "48",
    "long-side": "48 64",
    "warmup-steps": "2",
    "epochs": "2",
    "steps-per-epoch": "2",
    "batch-labeled": "2",
    "batch-unlabeled": "2",
    "aspp-channels": "8",
    "low-channels": "8",
    "decoder-channels": "8",
    # So early no pixel would pass, of which a warning tells.
    "confidence": "0",
}


def flags(**changed: str) -> list[str]:
    """The flags of a training of seconds, some changed."""
    return words(QUICK | {name.replace("_", "-"): value for name, value in changed.items()})


def words(settings: Mapping[str, Any]) -> list[str]:
    """Settings as flags with their values."""
    found = []
    for name, value in settings.items():
        values = value if isinstance(value, tuple) else str(value).split()
        found += [f"--{name.replace('_', '-')}", *map(str, values)]
    return found


@dataclass
class Outcome:
    """What a command left behind for the user."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]
"""Runs a command in a folder of the test's own."""


def runner(monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Returns what runs commands in a folder."""
    monkeypatch.chdir(folder)

    def call(*arguments: Any) -> Outcome:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        seen = capsys.readouterr()
        return Outcome(status, seen.out, seen.err.removeprefix("loading torch ...\n"))  # told by the first test alone

    return call


@contextmanager
def blank_figures(*, page: bool = True) -> Iterator[None]:
    """Figures that are saved as empty pictures, where nobody looks at them.

    Args:
        page: Those on the page too, whose libraries that loads.
    """
    from PIL import Image

    def blank(*_: Any) -> Image.Image:
        return Image.new("RGB", (8, 8), "white")

    with _saved_as_png(lambda _, target, **__: blank().save(target, "PNG")) as patch:
        if page:
            patch.setattr("psmt_viz.report.pictures.render", blank)
        yield


@contextmanager
def coarse_figures() -> Iterator[None]:
    """Figures of few pixels, drawn once, as PNG alone: for what shall be the same whoever draws it."""
    from matplotlib.figure import Figure

    from psmt_viz.figures import export

    with _saved_as_png(Figure.savefig) as patch:
        patch.setattr(sys.modules[export.__module__], "DPI", 40)
        patch.setattr("psmt_viz.report.pictures.SCALE", 0.3)
        yield


@contextmanager
def _saved_as_png(save: Callable[..., None]) -> Iterator[pytest.MonkeyPatch]:
    """Figures that are not laid out, with stand-ins for PDF and SVG; `save` writes the PNG as `Figure.savefig` does."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    def savefig(figure: Figure, target: Any, *, format: str | None = None, **given: Any) -> None:
        if format in ("pdf", "svg"):
            Path(target).write_text(format, encoding="utf-8")
        else:
            save(figure, target, format=format, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        patch.setattr(Figure, "draw_without_rendering", lambda _: None)
        patch.setattr(ConstrainedLayoutEngine, "execute", lambda *_: None)
        yield patch


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def refused(found: Outcome, *words: str) -> None:
    """One line that starts with `error: ` and says each of the words; no results are announced."""
    assert found.status == 2
    lines = [line for line in found.err.splitlines() if not PROGRESS.search(line)]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert "Traceback" not in found.err + found.out
    assert "results:" not in found.out
    for word in words:
        assert re.search(word, lines[0]), (word, lines[0])


def halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
