"""The table of kinds: what each row says fits together, and who makes a kind among given networks."""

import re

import pytest

from psmt_viz.errors import UserError
from psmt_viz.kinds import (
    KINDS,
    REFERENCES,
    SHOWN,
    default_panels,
    kind_named,
    kinds_in_order,
    possible_kinds,
)
from psmt_viz.roles import role_of

NOBODY = ("student",)
ONE = ("student", "teacher")
TWO = ("student", "teacher1", "teacher2", "ensemble")
THREE = ("student", "a", "b", "c", "ensemble")


@pytest.mark.parametrize("name", KINDS)
def test_a_row_is_whole(name: str) -> None:
    kind = KINDS[name]
    assert kind.name == name and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert kind.label and kind.marker != "*"
    for color in filter(None, (kind.color, kind.dark)):
        assert re.fullmatch(r"#[0-9A-F]{6}", color)
    assert kind.maker is not None or not kind.searches  # who searches asks a network
    assert kind.searches or not kind.depends_on_eps


def test_searches_of_one_role_have_its_colour_and_no_colour_comes_twice() -> None:
    for name, role in (("vat", "student"), ("tvat", "ensemble"), ("teacher1", "teacher1"), ("teacher2", "teacher2")):
        assert (KINDS[name].color, KINDS[name].marker) == (role_of(role).color, role_of(role).marker)
    assert len({kind.color for kind in KINDS.values()}) == len(KINDS)


def test_kinds_that_search_come_first() -> None:
    searches = [kind.searches for kind in KINDS.values()]
    assert searches == sorted(searches, reverse=True)
    assert {*REFERENCES, *SHOWN} <= set(KINDS)


@pytest.mark.parametrize(
    ("kind", "roles", "maker"),
    [
        ("vat", NOBODY, "student"),
        ("tvat", NOBODY, None),
        ("tvat", ONE, "teacher"),
        ("tvat", TWO, "ensemble"),
        ("tvat", THREE, "ensemble"),
        ("teacher2", TWO, "teacher2"),
        ("teacher2", ONE, None),
        ("random", TWO, None),
    ],
)
def test_who_makes_a_kind(kind: str, roles: tuple[str, ...], maker: str | None) -> None:
    assert KINDS[kind].made_by(roles) == maker
    assert KINDS[kind].can_be_made(roles) == (maker is not None or kind == "random")


def test_without_teachers_nothing_asks_one_and_the_panels_are_vat_and_the_control() -> None:
    assert not {"tvat", "teacher1", "teacher2", "tvat-official"} & set(possible_kinds(NOBODY))
    assert set(possible_kinds(ONE)) == set(KINDS) - {"teacher1", "teacher2"}
    assert possible_kinds(TWO) == tuple(KINDS)
    assert default_panels(NOBODY) == ("clean", "vat", "random")
    assert default_panels(ONE) == default_panels(TWO) == ("clean", "vat", "tvat")


def test_kinds_have_one_order_and_others_follow() -> None:
    assert kinds_in_order(["mine", "random", "tvat", "vat", "vat"]) == ["vat", "tvat", "random", "mine"]
    assert kinds_in_order(reversed(KINDS)) == list(KINDS)
    assert kind_named("pgd").label == "PGD"
    with pytest.raises(UserError, match=r"kinds among vat, tvat, .*, got vta"):
        kind_named("vta")
