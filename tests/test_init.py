"""The Python API by name: complete, lazy, and never hidden by a package of the same name."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import psmt_viz
from psmt_viz.results import RESULTS

ROOT = Path(__file__).parents[1]
NAMES = [name for name in psmt_viz.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_what_its_module_defines(name: str) -> None:
    found = getattr(psmt_viz, name)
    assert callable(found)
    assert found.__module__.startswith("psmt_viz.")
    assert inspect.getdoc(found)
    assert name in dir(psmt_viz)


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_can_be_made_by_name(name: str) -> None:
    """The function of a command whose word is a package has another name there."""
    probe = getattr(importlib.import_module(f"psmt_viz.probes.{name}"), name)
    assert probe in [getattr(psmt_viz, each) for each in NAMES]


def test_type_checkers_see_the_same_names() -> None:
    """What is imported for them alone is what is given at run time."""
    tree = ast.parse(Path(psmt_viz.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {
        alias.asname: getattr(importlib.import_module(str(node.module)), alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == {name: getattr(psmt_viz, name) for name in NAMES}


def test_names_are_the_functions_after_everything_was_imported() -> None:
    """A package of the same name would take a function's place once it is imported."""
    packages = {path.parent.name if path.name == "__init__.py" else path.stem for path in package_files()}
    assert not packages & set(NAMES)


def package_files() -> list[Path]:
    folder = Path(psmt_viz.__file__).parent
    return [*folder.glob("*.py"), *folder.glob("*/__init__.py")]


def test_importing_it_loads_nothing() -> None:
    code = "import sys, psmt_viz; print(*[name for name in sys.modules if name.startswith('psmt_viz.')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.split() == []


def test_the_manual_names_each() -> None:
    text = (ROOT / "docs" / "python" / "index.md").read_text(encoding="utf-8")
    assert {name for name in NAMES if f"psmt_viz.{name}" not in text} == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_runs'"):
        _ = psmt_viz.load_runs
