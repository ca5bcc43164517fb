"""Flags made from settings: under which heading help has them, and with which default."""

from __future__ import annotations

import shlex

import pytest

from psmt_viz.cli import app, main
from psmt_viz.cli.settings import TITLES
from psmt_viz.cli.training import configured
from psmt_viz.config import FIELDS, GROUPS
from psmt_viz.presets import configure
from psmt_viz.settings import flag_of

ARGUMENTS = {each.name: each for each in app["train"].assemble_argument_collection()}
SCENES = configure("scenes", {})


def test_every_group_has_a_heading() -> None:
    assert list(TITLES) == list(GROUPS)


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_stands_below_its_heading(name: str) -> None:
    (group,) = ARGUMENTS[flag_of(name)].parameter.group
    assert group.name == TITLES[FIELDS[name]]


@pytest.mark.parametrize("name", [name for name in FIELDS if SCENES.has(name)])
def test_the_default_that_help_shows_is_the_one_that_is_used(name: str) -> None:
    show, value = ARGUMENTS[flag_of(name)].show_default, SCENES.flat()[name]
    if value in (None, ()):
        assert not callable(show)
        return
    words = show(None)
    if isinstance(value, bool):
        assert words == {True: "yes", False: "no"}[value]
        return
    # Typed, it gives the default; a share is shown with six digits.
    found = configured([flag_of(name), *words.split()]).flat()[name]
    assert found == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)


def test_help_ends_with_commands_that_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    _, _, examples = capsys.readouterr().out.partition("Examples:")
    commands = [shlex.split(line) for line in examples.splitlines() if line.strip()]
    assert len(commands) == 2
    for program, command, *words in commands:
        assert (program, command) == ("psmt-viz", "train")
        configured(words)
