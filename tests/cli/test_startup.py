"""A command starts with the libraries that it uses and with no other: each is run in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.figures import synthetic

HEAVY = (
    *("torch", "torchvision", "timm", "openTSNE", "sklearn", "pytorch_grad_cam", "lightning_fabric"),
    *("bokeh", "matplotlib", "pandas", "numpy"),
)
COMPUTING = set(HEAVY[:7])
RUN = """
import sys
from psmt_viz.cli import main
status = main(sys.argv[1:])
print("loaded:", *[name for name in {names!r} if name in sys.modules])
sys.exit(status)
"""


def loaded(*arguments: object, folder: Path) -> set[str]:
    """What a command that succeeds has imported, of the heavy libraries."""
    command = [sys.executable, "-c", RUN.format(names=HEAVY), *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert found.returncode == 0, found.stderr
    return set(found.stdout.splitlines()[-1].removeprefix("loaded:").split())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    for result in (synthetic.evaluation(), synthetic.flips(("vat", "random"))):
        result.save(folder)
    return folder


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["tsne", "--help"], ["train", "--help"]])
def test_help_loads_nothing(arguments: list[str], tmp_path: Path) -> None:
    assert loaded(*arguments, folder=tmp_path) == set()


@pytest.mark.parametrize("command", ["curves", "table"])
def test_what_only_draws_a_run_computes_nothing(command: str, psmt_run: Path, tmp_path: Path) -> None:
    assert not loaded(command, psmt_run, "--out", "out", folder=tmp_path) & {*COMPUTING, "bokeh"}


def test_drawing_saved_results_again_computes_nothing(saved: Path, tmp_path: Path) -> None:
    assert not loaded("report", saved, "--out", "out", folder=tmp_path) & COMPUTING
    assert not loaded("figures", "--from", saved, "--out", "out", folder=tmp_path) & COMPUTING


def test_checking_data_needs_neither_torch_nor_figures(blocks_folder: Path, tmp_path: Path) -> None:
    found = loaded("checks", "--data", blocks_folder, "--out", "out", folder=tmp_path)
    assert not found & {*COMPUTING, "bokeh", "matplotlib"}


def test_scoring_loads_neither_the_map_nor_the_page_nor_the_training(psmt_run: Path, tmp_path: Path) -> None:
    found = loaded("evaluate", psmt_run, "--device", "cpu", "--out", "out", folder=tmp_path)
    assert "torch" in found
    assert not found & {"openTSNE", "sklearn", "pytorch_grad_cam", "bokeh", "lightning_fabric"}


def test_perturbing_loads_neither_the_map_nor_the_page_nor_the_training(psmt_run: Path, tmp_path: Path) -> None:
    more = ["--kinds", "random", "--images", "1", "--eps", "2", "--device", "cpu"]
    found = loaded("perturb", psmt_run, *more, "--out", "out", folder=tmp_path)
    assert not found & {"openTSNE", "sklearn", "pytorch_grad_cam", "bokeh", "lightning_fabric"}


def test_a_map_of_pixels_loads_neither_grad_cam_nor_the_training(psmt_run: Path, tmp_path: Path) -> None:
    more = ["--n-pixels", "10", "--perplexity", "3", "--device", "cpu"]
    found = loaded("tsne", psmt_run, *more, "--out", "out", folder=tmp_path)
    assert "openTSNE" in found
    assert not found & {"pytorch_grad_cam", "bokeh", "lightning_fabric"}
