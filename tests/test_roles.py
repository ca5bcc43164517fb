"""Roles of any name have a label and a place."""

import pytest

from psmt_viz.roles import known_roles, leading, role_of, roles_in_order, teachers_among


@pytest.mark.parametrize(
    ("name", "label"),
    [("teacher", "teacher"), ("teacher2", "teacher 2"), ("teacher13", "teacher 13"), ("teacher0", "teacher0"),
     ("ema", "ema"), ("ensemble", "ensemble")],
)  # fmt: skip
def test_every_name_has_a_label(name: str, label: str) -> None:
    assert role_of(name).name == name and role_of(name).label == label


def test_roles_of_the_table_differ_in_more_than_colour() -> None:
    roles = [role for role in known_roles() if role.name != "teacher"]  # who is never beside teacher 1
    assert len({role.color for role in roles}) == len({role.marker for role in roles}) == len(roles)
    assert len({role.dashes for role in roles}) == len(roles)
    assert role_of("ema").color is None


def test_the_student_stands_first_and_the_ensemble_last() -> None:
    names = ["ensemble", "b", "teacher10", "a", "teacher2", "student", "b"]
    assert roles_in_order(names) == ["student", "teacher2", "teacher10", "b", "a", "ensemble"]


def test_single_teachers_step_back_behind_their_ensemble() -> None:
    assert leading(("student", "teacher1", "teacher2", "ensemble")) == ("student", "ensemble")
    assert leading(("student", "teacher")) == ("student", "teacher")
    assert teachers_among(("student", "a", "b", "ensemble")) == ("a", "b")
    assert teachers_among(("student",)) == ()
