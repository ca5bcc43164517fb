"""Imports go one way, and what must be light is light."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    "torch",
    "torch._dynamo",
    "torchvision",
    "timm",
    "sklearn",
    "openTSNE",
    "pytorch_grad_cam",
    "matplotlib",
    "seaborn",
)


def loaded(statement: str) -> set[str]:
    """The heavy libraries that a fresh Python has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.returncode == 0, found.stderr
    return set(json.loads(found.stdout.splitlines()[-1]))


def test_the_rules_of_the_house_hold() -> None:
    if importlib.util.find_spec("importlinter") is None:
        pytest.skip("import-linter is not installed")
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    found = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert " 0 broken" in found.stdout
    assert "Contracts: 0 kept" not in found.stdout


@pytest.mark.parametrize("name", ["psmt_viz", "psmt_viz.cli", "psmt_viz.config"])
def test_what_answers_at_once_loads_nothing_heavy(name: str) -> None:
    assert loaded(f"import {name}") == set()


@pytest.mark.parametrize("name", ["results", "metrics", "schedules", "runs", "files", "errors"])
def test_the_waist_needs_neither_torch_nor_matplotlib(name: str) -> None:
    assert loaded(f"import psmt_viz.{name}") == set()


@pytest.mark.parametrize("name", ["data", "data.checks", "data.opening", "data.scenes"])
def test_reading_a_data_set_needs_no_torch(name: str) -> None:
    assert loaded(f"import psmt_viz.{name}") == set()


def test_networks_of_a_user_s_own_need_no_library_of_networks() -> None:
    code = (
        "from torch import nn\nfrom psmt_viz.models.adapters import adapt\n"
        "class Own(nn.Module):\n    def encode(self, images): return images\n    def decode(self, z): return z\n"
        "adapt(Own())"
    )
    assert loaded(code) == {"torch"}


def test_figures_need_no_torch() -> None:
    assert loaded("import psmt_viz.figures") <= {"matplotlib", "seaborn"}


def test_computing_loads_none_of_our_drawing() -> None:
    code = (
        "import sys, psmt_viz\npsmt_viz.load_run\n"
        "import psmt_viz.probes.gradcam, psmt_viz.probes.tsne, psmt_viz.train.session\n"
        "print(*[name for name in sys.modules if name.startswith('psmt_viz') or name == 'torch'])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.returncode == 0, found.stderr
    names = set(found.stdout.split())
    assert {"torch", "psmt_viz.train.session", "psmt_viz.models.load"} <= names
    assert not {name for name in names if name.startswith(("psmt_viz.figures", "psmt_viz.cli", "psmt_viz.subject"))}
