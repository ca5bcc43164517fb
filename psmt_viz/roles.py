"""The roles that networks have: how each is called and drawn, and in which order they stand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

STUDENT = "student"
ENSEMBLE = "ensemble"


@dataclass(frozen=True, kw_only=True)
class Role:
    """How a role is called and drawn, the same in every figure."""

    name: str
    label: str
    color: str | None = None
    """On white paper; None for grey, which no role of the table has."""
    dark: str | None = None
    """On dark paper, where text needs another; None for the same."""
    marker: str = "o"
    dashes: tuple[float, ...] = (6, 1.5)
    """Lengths of strokes and gaps in line widths; empty for a line without gaps."""


_TEACHER = Role(name="teacher", label="teacher", color="#E69F00", marker="<", dashes=(1, 1))
_TABLE: Mapping[str, Role] = MappingProxyType(
    {
        role.name: role
        for role in (
            Role(name=STUDENT, label="student", color="#0072B2", dark="#2893DF", marker="o", dashes=(3.7, 1.6)),
            _TEACHER,
            Role(name="teacher1", label="teacher 1", color=_TEACHER.color, marker="<", dashes=(1, 1)),
            Role(name="teacher2", label="teacher 2", color="#009E73", marker=">", dashes=(4, 1, 1, 1)),
            Role(name=ENSEMBLE, label="ensemble", color="#C44E00", dark="#DC6E22", marker="D", dashes=()),
        )
    }
)
_NUMBERED = re.compile(r"teacher([1-9]\d*)")


def role_of(name: str) -> Role:
    """Returns how a role is called and drawn; one that is not in the table is grey, under its own name."""
    if name in _TABLE:
        return _TABLE[name]
    numbered = _NUMBERED.fullmatch(name)
    return Role(name=name, label=f"teacher {numbered[1]}" if numbered else name)


def known_roles() -> tuple[Role, ...]:
    """Returns the roles that have a look of their own."""
    return tuple(_TABLE.values())


def roles_in_order(names: Iterable[Any]) -> list[str]:
    """Returns each role once: the student, the teachers by number and then as they come, the ensemble."""
    return sorted(dict.fromkeys(map(str, names)), key=_rank)  # which keeps the order of equals


def _rank(name: str) -> tuple[int, float]:
    if name == STUDENT:
        return 0, 0
    if name == ENSEMBLE:
        return 2, 0
    numbered = _NUMBERED.fullmatch(name)
    return 1, int(numbered[1]) if numbered else math.inf


def teachers_among(roles: Sequence[str]) -> tuple[str, ...]:
    """Returns the single teachers: every role but the student and the ensemble."""
    return tuple(role for role in roles if role not in (STUDENT, ENSEMBLE))


def leading(roles: Sequence[str]) -> tuple[str, ...]:
    """Returns the roles for which a run stands: all but the single teachers of an ensemble."""
    return tuple(role for role in roles if ENSEMBLE not in roles or role in (STUDENT, ENSEMBLE))
