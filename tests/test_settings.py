from dataclasses import dataclass
from typing import Literal

import pytest

from psmt_viz.errors import UserError
from psmt_viz.settings import Group, flag_of, names_of


@dataclass(frozen=True, kw_only=True)
class Some(Group):
    count: int = 1
    share: float | None = None
    sizes: tuple[int, int] = (1, 2)
    names: tuple[str, ...] = ()
    kind: Literal["a", "b"] = "a"


def test_values_from_json_become_a_group_and_others_are_left_aside():
    made = Some.of({"sizes": [3, 4], "names": ["x"], "share": 1, "other": 5})
    assert made == Some(sizes=(3, 4), names=("x",), share=1)
    assert names_of(Some) == names_of(made) == ["count", "share", "sizes", "names", "kind"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", "3"),
        ("count", 1.5),
        ("count", None),
        ("count", True),
        ("sizes", (1, 2, 3)),
        ("sizes", 1),
        ("share", ""),
    ],
)
def test_values_of_another_kind_name_the_flag(name, value):
    with pytest.raises(UserError, match=f"--{name} of kind .*set --{name} accordingly"):
        Some.of({name: value})


def test_a_choice_that_there_is_not_names_those_that_there_are():
    with pytest.raises(UserError, match="--kind one of a, b, got 'c'"):
        Some(kind="c")


def test_a_flag_has_dashes():
    assert flag_of("steps_per_epoch") == "--steps-per-epoch"
