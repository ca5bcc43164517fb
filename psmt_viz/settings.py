"""What every group of settings is: frozen fields whose bounds are checked, with errors that name the flag."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from psmt_viz.errors import UserError


class Group:
    """A frozen dataclass of settings; a field's name is its flag, and its docstring the flag's help."""

    def __post_init__(self) -> None:
        """Checks that every field that has choices has one of them; groups add their own bounds."""
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal:
                self._one_of(name, hint)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Builds a group from values that may come from JSON; others than the group's own are left aside.

        Raises:
            UserError: if a value is of another kind than its field, or out of bounds.
        """
        hints, own = get_type_hints(cls), {}
        for setting in fields(cls):  # type: ignore[arg-type]
            if setting.name not in values:
                continue
            value = values[setting.name]
            # JSON has no tuples.
            value = tuple(value) if isinstance(value, list) else value
            hint = hints[setting.name]
            if not _fits(value, hint):
                kind, flag = str(hint).replace("<class '", "").replace("'>", ""), flag_of(setting.name)
                raise UserError(f"{flag} of kind {kind}", repr(value), f"set {flag} accordingly")
            own[setting.name] = value
        return cls(**own)

    def _require(self, ok: bool, name: str, expected: str) -> None:
        if not ok:
            flag = flag_of(name)
            raise UserError(f"{flag} {expected}", f"{getattr(self, name)!r}", f"set {flag} accordingly")

    def _positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(math.isfinite(value) and value > 0, name, "above 0")

    def _not_negative(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(math.isfinite(value) and value >= 0, name, "0 or more")

    def _one_of(self, name: str, choices: Any) -> None:
        options = get_args(choices)
        self._require(getattr(self, name) in options, name, f"one of {', '.join(map(str, options))}")


def names_of(group: type[Group] | Group) -> list[str]:
    """Returns the names of a group's settings."""
    return [setting.name for setting in fields(group)]  # type: ignore[arg-type]


def flag_of(name: str) -> str:
    """Returns the command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def _fits(value: Any, hint: Any) -> bool:
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return True  # the group itself names the choices
    if get_origin(hint) is UnionType:
        return any(_fits(value, part) for part in parts)
    if get_origin(hint) is tuple:
        kinds = parts[:1] * len(value) if parts[-1] is ... else parts
        return len(value) == len(kinds) and all(map(_fits, value, kinds)) if isinstance(value, tuple) else False
    return type(value) is hint or (hint is float and type(value) is int)
