"""A command starts with the libraries that it uses and with no other: told in new processes, not in the tests' own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.figures import synthetic

HEAVY = (
    *("torch", "torchvision", "timm", "openTSNE", "sklearn", "pytorch_grad_cam", "lightning_fabric"),
    *("bokeh", "matplotlib", "pandas", "numpy"),
)
COMPUTING = set(HEAVY[:7])
RUN = """
import json, sys
from psmt_viz.cli import main
for command in json.loads(sys.argv[1]):
    status = main(command)
    print("loaded:", *[name for name in {names!r} if name in sys.modules])
    if status:
        sys.exit(status)
"""
Loaded = dict[str, set[str]]
"""Words of a command -> the heavy libraries that are imported once it has run."""


def loaded(commands: Sequence[Sequence[object]], *, folder: Path) -> Loaded:
    """Runs commands that succeed one after the other in a process of their own.

    What one has imported stays, so those that may import least go first; nothing is then laid to a later one's charge
    that it may not import itself.
    """
    words = [[str(word) for word in command] for command in commands]
    program = [sys.executable, "-c", RUN.format(names=HEAVY), json.dumps(words)]
    found = subprocess.run(program, capture_output=True, text=True, check=False, cwd=folder)
    assert found.returncode == 0, found.stderr
    told = [line.removeprefix("loaded:").split() for line in found.stdout.splitlines() if line.startswith("loaded:")]
    return {" ".join(each): set(names) for each, names in zip(map(_kind, words), told, strict=True)}


def _kind(words: Sequence[str]) -> list[str]:
    """A command without the paths that it is given."""
    return [word for word in words if not word.startswith("/")]


HELP = ("--help", "--version", "tsne --help", "train --help")


@pytest.fixture(scope="module")
def drawing(psmt_run: Path, blocks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """What commands that need no network have imported."""
    saved, folder = tmp_path_factory.mktemp("saved"), tmp_path_factory.mktemp("drawing")
    synthetic.evaluation().save(saved)
    commands: list[list[object]] = [line.split() for line in HELP]
    commands += [
        ["checks", "--data", blocks_folder, "--out", "checks"],
        ["curves", psmt_run, "--out", "curves"],
        ["table", psmt_run, "--out", "table"],
        ["report", saved, "--out", "report"],
        ["figures", "--from", saved, "--out", "figures"],
    ]
    return loaded(commands, folder=folder)


@pytest.fixture(scope="module")
def computing(psmt_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """What commands that look at networks have imported."""
    device, small = ["--device", "cpu"], ["--kinds", "random", "--images", "1", "--eps", "2"]
    commands = [
        ["evaluate", psmt_run, *device, "--out", "evaluate"],
        ["perturb", psmt_run, *small, *device, "--out", "perturb"],
        ["tsne", psmt_run, "--n-pixels", "10", "--perplexity", "3", *device, "--out", "tsne"],
    ]
    return loaded(commands, folder=tmp_path_factory.mktemp("computing"))


WITHOUT_TORCH = """
import json, sys
from psmt_viz.cli import main

class Refuses:
    def find_spec(self, name, *_):
        if name == "torch":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Refuses())
sys.exit(main(json.loads(sys.argv[1])))
"""


@pytest.mark.parametrize(
    "command",
    [
        *("evaluate", "reliability", "perturb", "tsne", "gradcam", "figures", "train", "train --smoke"),
        *("table --weights best", "import nowhere.pth", "export --out nowhere.pth"),
    ],
)
def test_the_first_line_comes_before_torch_is_loaded(tmp_path: Path, command: str) -> None:
    program = [sys.executable, "-c", WITHOUT_TORCH, json.dumps(command.split())]
    found = subprocess.run(program, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.stderr.splitlines() == ["loading torch ...", "stopped; finished work is kept"]
    assert (found.returncode, found.stdout, list(tmp_path.iterdir())) == (130, "", [])


def of(found: Loaded, command: str) -> set[str]:
    (names,) = (names for words, names in found.items() if words.startswith(f"{command} --"))
    return names


@pytest.mark.parametrize("command", HELP)
def test_help_loads_nothing(drawing: Loaded, command: str) -> None:
    assert drawing[command] == set()


def test_checking_data_needs_neither_torch_nor_figures(drawing: Loaded) -> None:
    assert not of(drawing, "checks") & {*COMPUTING, "bokeh"}


@pytest.mark.parametrize("command", ["curves", "table"])
def test_what_only_draws_a_run_computes_nothing(drawing: Loaded, command: str) -> None:
    assert not of(drawing, command) & {*COMPUTING, "bokeh"}


@pytest.mark.parametrize("command", ["report", "figures"])
def test_drawing_saved_results_again_computes_nothing(drawing: Loaded, command: str) -> None:
    assert not of(drawing, command) & COMPUTING


@pytest.mark.parametrize("command", ["evaluate", "perturb"])
def test_scores_and_perturbations_load_neither_the_map_nor_the_page_nor_the_training(
    computing: Loaded, command: str
) -> None:
    found = of(computing, command)
    assert "torch" in found
    assert not found & {"openTSNE", "sklearn", "pytorch_grad_cam", "bokeh", "lightning_fabric"}


def test_a_map_of_pixels_loads_neither_grad_cam_nor_the_training(computing: Loaded) -> None:
    found = of(computing, "tsne")
    assert "openTSNE" in found
    assert not found & {"pytorch_grad_cam", "bokeh", "lightning_fabric"}
