"""What a command costs before and around its work: CPU seconds and memory of each, on next to no data."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.pairs import Section, processes_in_turn

ROOT = Path(__file__).resolve().parent.parent
NETWORKS: Mapping[str, str] = {
    "import torch": "import torch",
    "import timm, with torchvision": "import timm",
    "the shipped run's networks": "import psmt_viz; psmt_viz.load_run()",
}
"""Way -> statement."""
COMMANDS: Mapping[str, Sequence[str]] = {
    "--help": ("--help",),
    "table": ("table", "--out"),
    "curves": ("curves", "--out"),
    "train --dry-run": ("train", "--preset", "scenes", "--dry-run"),
    "evaluate": ("evaluate", "--out"),
    "perturb, 1 image": ("perturb", "--images", "1", "--eps", "2", "--out"),
    "gradcam, 1 image": ("gradcam", "--images", "1", "--out"),
    "tsne, 200 pixels": ("tsne", "--n-pixels", "200", "--out"),
}
"""Way -> words; a folder follows a last `--out`."""


def measure(repeats: int = 5) -> list[Section]:
    """Starts each in a process of its own, in turn."""
    networks = {way: (sys.executable, "-c", statement) for way, statement in NETWORKS.items()}
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            way: (sys.executable, "-m", "psmt_viz.cli", *words, *([folder] if words[-1] == "--out" else ()))
            for way, words in COMMANDS.items()
        }
        tables = [processes_in_turn(each, repeats=repeats, cwd=ROOT) for each in (networks, commands)]
    about = "Seconds and MB of a process with one thread, median and range"
    return [
        Section(title="Networks", about=f"{about}.", table=tables[0]),
        Section(
            title="Commands",
            about=f"{about}: the whole command, on the shipped run.",
            table=tables[1].drop(columns="faster by"),
        ),
    ]
