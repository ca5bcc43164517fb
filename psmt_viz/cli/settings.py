"""Flags made from groups of settings: a field's name is its flag, its docstring the flag's help."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, make_dataclass
from functools import cache, partial
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import cyclopts
from cyclopts import Parameter

from psmt_viz.cli.flags import numbers, whole_number
from psmt_viz.config import FIELDS, GROUPS, DataConfig
from psmt_viz.methods import METHODS
from psmt_viz.presets import configure
from psmt_viz.probes.settings import FiguresSettings, GradcamSettings, TsneSettings
from psmt_viz.search import SearchSettings
from psmt_viz.settings import Group, names_of

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "data": "Images and labels",
        "model": "Network",
        "views": "Views of an image",
        "method": "Method",
        "optim": "Optimiser",
        "system": "System",
    }
)
"""Group of settings of a run -> its heading in help and manual."""
AnyGroup = TypeVar("AnyGroup", bound=Group)


def _settings() -> Any:
    """Makes the class whose fields are the flags of `train`: every setting of every method, None unless given."""
    flags: list[tuple[str, Any, Any]] = []
    hints = {kind: get_type_hints(kind) for of in GROUPS.values() for kind in of}
    titles = {name: cyclopts.Group(title, sort_key=place) for place, (name, title) in enumerate(TITLES.items(), 1)}
    of_methods = {name: value for kind in METHODS.values() for name, value in vars(kind.of({})).items()}
    usual = of_methods | configure("scenes", {}).flat()
    for name, group in FIELDS.items():
        kinds = [kind for kind in GROUPS[group] if name in names_of(kind)]
        hint, help = hints[kinds[0]][name], _help(kinds[0], name)
        if name == "method":
            hint, help = Literal[tuple(METHODS)], f"{help} {_methods()}"
        elif len(kinds) < len(GROUPS[group]):
            names = [known for known, kind in METHODS.items() if kind in kinds]
            help += f" Method: {' or '.join(names)}."
        parameter = _flag(hint, help, group=titles[group], show=shown(usual[name]))
        flags.append((name, Annotated[hint | None, parameter], field(default=None)))
    return _made("Settings", flags)


def shown(value: Any) -> str:
    """Returns a value as it is typed after its flag, or yes or no for a switch; nothing for none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def flags_of(group: type[Group], *, leave_out: Collection[str] = ()) -> Any:
    """Makes the class whose fields are the flags of a command: the settings of a group, with their defaults."""
    hints = get_type_hints(group)
    flags = []
    for name in names_of(group):
        if name in leave_out:
            continue
        default = getattr(group, name)
        parameter = _flag(hints[name], _help(group, name), default=default)
        flags.append((name, Annotated[hints[name], parameter], field(default=default)))
    return _made(f"{group.__name__}Flags", flags)


def _flag(
    hint: Any, help: str, *, default: Any = None, group: cyclopts.Group | None = None, show: str = ""
) -> Parameter:
    """Returns how a setting is read; a default of several numbers is shown as they are typed, one of no names not.

    Args:
        hint: The setting's type.
        help: What it is.
        default: Its default.
        group: The heading under which help has it.
        show: What help shows as the default in its place.
    """
    whole = whole_number if hint in (int, int | None) else None
    told = (numbers if default else False) if isinstance(default, tuple) else None
    if show:
        told = partial(_always, show)
    return Parameter(
        help=help, consume_multiple=True, negative_iterable="", converter=whole, show_default=told, group=group
    )


def _always(words: str, _: Any) -> str:
    return words


def settings_of(group: type[AnyGroup], flags: Any) -> AnyGroup:
    """Returns the settings that flags give, which cyclopts leaves away where none is given."""
    return group(**vars(flags)) if flags is not None else group()


def _made(name: str, flags: Sequence[tuple[str, Any, Any]]) -> Any:
    made = make_dataclass(name, flags, kw_only=True, frozen=True)
    made.__module__ = __name__  # cyclopts takes classes of the module `types` for built-in ones
    return made


def _help(kind: type, name: str) -> str:
    """What the docstring of a field says, in the group itself or in one that it is made of."""
    return next(told[name] for each in kind.__mro__ if name in (told := _told(each)))


def _told(kind: type) -> dict[str, str]:
    """Returns field -> its docstring of one class."""
    return _docstrings(kind.__module__).get(kind.__name__, {})


@cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Returns class -> field -> docstring of a module, which Python itself forgets; read once for all its classes."""
    if not module.startswith("psmt_viz."):
        return {}
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found = {}
    for kind in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        told = {}
        for setting, text in pairwise(kind.body):
            if isinstance(setting, ast.AnnAssign) and isinstance(text, ast.Expr):
                told[ast.unparse(setting.target)] = " ".join(ast.literal_eval(text.value).split())
        found[kind.name] = told
    return found


def _methods() -> str:
    """What each method is, in the words of its class."""
    first = {name: str(kind.__doc__).splitlines()[0].rstrip(".") for name, kind in METHODS.items()}
    return "; ".join(f"`{name}`: {text[0].lower()}{text[1:]}" for name, text in first.items()) + "."


Settings = _settings()
SearchFlags = flags_of(SearchSettings)
TsneFlags = flags_of(TsneSettings)
GradcamFlags = flags_of(GradcamSettings)
FiguresFlags = flags_of(FiguresSettings)
FolderFlags = flags_of(DataConfig, leave_out=("data", "split"))
ShownFlags = flags_of(DataConfig, leave_out=("data", "split", "classes"))
Folder: Any = Annotated[FolderFlags | None, Parameter(name="*", group="Folder of --data")]
ShownFolder: Any = Annotated[ShownFlags | None, Parameter(name="*", group="Folder of --data")]
"""For `tsne`, whose classes are those on the map."""


def folder_settings(flags: Any) -> dict[str, Any]:
    """Returns what flags say of a folder, by the names of `groups.DataConfig`."""
    return DataConfig(**vars(flags)).given() if flags is not None else {}
