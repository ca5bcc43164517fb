"""Whoever adds a result adds all of it: what makes it, draws it, shows it, and its page of the manual."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import psmt_viz.results
from psmt_viz.results import RESULTS, Result
from psmt_viz.results.registry import commands

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(params=RESULTS.values(), ids=RESULTS)
def kind(request: pytest.FixtureRequest) -> type[Result]:
    return request.param


def test_it_is_registered_under_its_name(kind: type[Result]) -> None:
    assert RESULTS[kind.NAME] is kind
    assert kind.__module__ == f"psmt_viz.results.{kind.NAME}"
    assert all(isinstance(getattr(kind, name), str) for name in ("COMMAND", "TITLE", "FACTS"))


def test_it_can_be_imported_from_results(kind: type[Result]) -> None:
    assert getattr(psmt_viz.results, kind.__name__) is kind


def test_a_probe_makes_it(kind: type[Result]) -> None:
    probe = getattr(import_module(f"psmt_viz.probes.{kind.NAME}"), kind.NAME)
    assert inspect.signature(probe).return_annotation == kind.__name__


def test_figures_draw_it(kind: type[Result]) -> None:
    (parameter,) = inspect.signature(import_module(f"psmt_viz.figures.{kind.NAME}").figures).parameters.values()
    assert parameter.annotation == kind.__name__


def test_the_page_has_a_section_of_it(kind: type[Result]) -> None:
    section = import_module(f"psmt_viz.report.{kind.NAME}").section
    (parameter,) = inspect.signature(section).parameters.values()
    assert parameter.annotation == kind.__name__


def test_the_manual_tells_its_command_and_its_files(kind: type[Result]) -> None:
    command = kind.COMMAND.split()[0]
    text = (DOCS / "commands" / f"{command}.md").read_text(encoding="utf-8")
    assert f"`{kind.FACTS}`" in text
    assert f"commands/{command}.md" in (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_result_is_registered() -> None:
    """A class that is not would be saved and never found again."""

    def below(kind: type) -> set[type]:
        return {each for one in kind.__subclasses__() for each in (one, *below(one))}

    own = {kind for kind in below(Result) if kind.__module__.startswith("psmt_viz.")}
    assert own == set(RESULTS.values())


def test_files_of_facts_are_told_apart() -> None:
    assert len({kind.FACTS for kind in RESULTS.values()}) == len(RESULTS)


def test_every_result_has_modules_of_its_name_alone() -> None:
    for room in ("probes", "figures", "report", "results"):
        for name in RESULTS:
            assert find_spec(f"psmt_viz.{room}.{name}"), f"psmt_viz/{room}/{name}.py"


def test_commands_are_listed_as_a_sentence_does() -> None:
    assert commands().startswith("figures, tsne, gradcam, perturb, perturb --closeup, ")
    assert commands().endswith(" or table")
