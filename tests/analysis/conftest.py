"""Runs of the evidence, as its driver leaves them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from evidence_grid import Cell
from evidence_tables import MACHINE

from psmt_viz.files import read_json, write_json
from tests.commands import words


@pytest.fixture
def trained(psmt_run: Path, small_settings: dict[str, Any], tmp_path: Path) -> tuple[Cell, Path]:
    """A finished run in a folder of its own, as the driver leaves it before perturbations are measured."""
    others = {name: value for name, value in small_settings.items() if name != "split"}
    cell = Cell("scenes", "1_8", "psmt", 7, "small", tuple(words(others)))
    folder = tmp_path / "runs" / cell.name
    shutil.copytree(psmt_run, folder)
    facts = read_json(folder / "config.json")
    facts["config"]["data"]["split"], facts["config"]["system"]["seed"] = cell.split, cell.seed
    write_json(folder / "config.json", facts)
    write_json(folder / MACHINE, ["one", "other"])
    return cell, folder
