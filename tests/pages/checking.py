"""Every kind of line that pages tell users to type, and how it is checked."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from psmt_viz.cli import app
from tests.commands import PROGRESS, Outcome, Run
from tests.pages import documented
from tests.pages.disk import Place
from tests.pages.documented import ROOT, Line


def check(line: Line, run: Run, place: Place) -> None:
    """Does what a line says, or the nearest thing that can be done here."""
    assert line.words[0] in documented.CLASSES, f"what is this? {line}"
    _KINDS[line.words[0]](line, run, place)


def _check_command(line: Line, run: Run, place: Place) -> None:
    words = documented.smaller(line.words)
    command, arguments = words[1], [_expanded(word, place) for word in words[1:]]
    if command in documented.PARSED_ALONE:
        read_flags(arguments)
        return
    if documented.meaning(words) == place.made[0]:
        saved = place.things["figures"]
        _check_files(command, [path.name for path in saved.iterdir()], place.made[1])
        return
    here = Path.cwd()
    made = _value(words, "--out") if command == "train" else None
    place.put([word for word in words if made is None or word != made], here)
    before = _stamps(here)
    found = run(*arguments)
    complaints = [line for line in found.err.splitlines() if not PROGRESS.search(line)]
    assert found.status == 0, (str(line), complaints)
    assert not any("error" in line or "Traceback" in line for line in complaints), complaints
    if command.startswith("--") or "--help" in words:
        return
    new = [name for name, stamp in _stamps(here).items() if before.get(name) != stamp]
    _check_files(command, new, found)


def _expanded(word: str, place: Place) -> str:
    return str(place.home) + word[1:] if word.startswith("~/") else word


def _value(words: list[str], flag: str) -> str | None:
    return words[words.index(flag) + 1] if flag in words else None


def _stamps(folder: Path) -> dict[str, int]:
    paths = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in paths}


def _check_files(command: str, new: list[str], found: Outcome) -> None:
    """Every file that was written is in the tables of the command's page, and the last line says where they are."""
    last = found.out.rstrip().splitlines()[-1]
    if not new:
        assert "results:" not in found.out
        return
    folder = last.removeprefix("results: ")
    assert folder != last
    assert Path(folder).exists()
    folder = folder if Path(folder).is_dir() else str(Path(folder).parent)
    told = documented.told_files(command)
    for name in new:
        assert Path(name).is_relative_to(folder)
        inside = Path(name).relative_to(folder).as_posix()
        of_tracker = inside == "log.jsonl"
        assert documented.matches(inside, told) or of_tracker, f"docs/commands/{command}.md does not tell {inside}"


def read_flags(arguments: list[str]) -> None:
    """Reads a command's flags as the program does, and does nothing."""
    app.parse_args(arguments, exit_on_error=False, print_error=False)


def _check_torchrun(line: Line, run: Run, place: Place) -> None:
    """Reads torchrun's own flags, then plans the training as one of the processes that it would start."""
    from torch.distributed.run import get_args_parser

    options = get_args_parser().parse_args(line.words[1:])
    assert options.module
    assert options.training_script == "psmt_viz.cli"
    here, nodes = int(options.nproc_per_node), int(options.nnodes)
    world = {"WORLD_SIZE": here * nodes, "LOCAL_WORLD_SIZE": here, "RANK": 0, "LOCAL_RANK": 0, "GROUP_RANK": 0}
    world |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 29500, "TORCHELASTIC_RUN_ID": "none"}
    words = documented.smaller(["psmt-viz", *options.training_script_args])
    assert "--dry-run" in words
    with pytest.MonkeyPatch.context() as patch:
        for name, value in world.items():
            patch.setenv(name, str(value))
        found = run(*(_expanded(word, place) for word in words[1:]), "--device", "cpu")
    assert found.status == 0, found.err
    assert f"devices: {here * nodes} x cpu" in found.out


def _check_python(line: Line, run: Run, place: Place) -> None:
    """Lets a script of the project read its arguments, and stops it then."""
    script = ROOT / line.words[1]
    assert script.is_file() and script.is_relative_to(ROOT / "analysis"), f"what is this? {line}"
    spec = importlib.util.spec_from_file_location(f"script_{script.stem}", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)

    class Read(Exception):
        pass

    whole = argparse.ArgumentParser.parse_args

    def read(*arguments: Any, **named: Any) -> None:
        whole(*arguments, **named)
        raise Read

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", read)
        patch.setattr(sys, "argv", line.words[1:])
        patch.syspath_prepend(script.parent)
        spec.loader.exec_module(module)
        with pytest.raises(Read):
            module.main()


def _check_make(line: Line, run: Run, place: Place) -> None:
    """Asks make what it would do, and reads the flags of the commands in that."""
    plan = subprocess.run(["make", "--dry-run", *line.words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert plan.returncode == 0, plan.stderr
    for planned in plan.stdout.splitlines():
        words = planned.split()
        if words and words[0].endswith("bin/psmt-viz"):
            read_flags(words[1:])


def _check_pip(line: Line, run: Run, place: Place) -> None:
    """Looks whether what is to be installed is this project, with extras that it has."""
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    action, *wanted = line.words[1:]
    assert action == "install"
    for word in wanted:
        if word != "-e":
            found = re.fullmatch(rf"(?:\.|{name['name']})(?:\[([\w,-]+)\])?", word)
            assert found, f"not this project: {line}"
            assert set((found[1] or "").split(",")) <= {"", *name["optional-dependencies"]}, line


def _check_mkdocs(line: Line, run: Run, place: Place) -> None:
    """Reads mkdocs' own flags; the site is built below."""
    from mkdocs.__main__ import cli

    _, command, *arguments = line.words
    cli.commands[command].make_context(command, arguments)


_KINDS: dict[str, Callable[[Line, Run, Place], None]] = {
    "psmt-viz": _check_command,
    "torchrun": _check_torchrun,
    "python": _check_python,
    "make": _check_make,
    "pip": _check_pip,
    "mkdocs": _check_mkdocs,
}
