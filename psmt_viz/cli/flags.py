"""The flags that the commands of `psmt-viz` share; those of `train` are made from its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, make_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import docstring_parser
from cyclopts import Parameter

from psmt_viz.config import FIELDS, GROUPS
from psmt_viz.kinds import KINDS, PAPER_EPS
from psmt_viz.methods import METHODS
from psmt_viz.settings import names_of


def whole_number(kind: Any, tokens: Sequence[Any]) -> int:
    """Reads an integer; cyclopts itself would round 1.5."""
    return int(tokens[0].value)


def _settings() -> Any:
    """Makes the class whose fields are the flags of `train`: every setting of every method, None unless given."""
    flags: list[tuple[str, Any, Any]] = []
    for name, group in FIELDS.items():
        kinds = [kind for kind in GROUPS[group] if name in names_of(kind)]
        hint, help = get_type_hints(kinds[0])[name], _help(kinds[0], name)
        if name == "method":
            hint, help = Literal[tuple(METHODS)], f"{help} {_methods()}"
        elif len(kinds) < len(GROUPS[group]):
            names = [known for known, kind in METHODS.items() if kind in kinds]
            help += f" Method: {' or '.join(names)}."
        whole = whole_number if hint in (int, int | None) else None
        parameter = Parameter(help=help, consume_multiple=True, negative_iterable="", converter=whole)
        flags.append((name, Annotated[hint | None, parameter], field(default=None)))
    made = make_dataclass("Settings", flags, kw_only=True, frozen=True)
    made.__module__ = __name__  # cyclopts takes classes of the module `types` for built-in ones
    return made


def _help(kind: type, name: str) -> str:
    """What the docstring of a field says, in the group itself or in one that it is made of."""
    return next(told[name] for each in kind.__mro__ if name in (told := _told(each)))


@cache
def _told(kind: type) -> dict[str, str]:
    if kind.__module__ == object.__module__:
        return {}
    found = docstring_parser.parse_from_object(kind).params
    return {field.arg_name: field.description for field in found if field.description}


def _methods() -> str:
    """What each method is, in the words of its class."""
    first = {name: str(kind.__doc__).splitlines()[0].rstrip(".") for name, kind in METHODS.items()}
    return "; ".join(f"`{name}`: {text[0].lower()}{text[1:]}" for name, text in first.items()) + "."


Settings = _settings()


def several(help: str, *, show_default: bool | Callable[[Any], str] = False) -> Parameter:
    """A flag that takes several values after it (`--eps 1 2`), and has no `--empty-` twin.

    Args:
        help: Its help, which says what no values stand for.
        show_default: Whether, or how, the default is shown; `()` would say nothing.
    """
    return Parameter(help=help, consume_multiple=True, negative_iterable="", show_default=show_default)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


RunFolder = Annotated[Path | None, Parameter(help="A run folder; default: the run that comes with psmt-viz.")]
RunFolders = Annotated[tuple[Path, ...], several("Run folders; default: the run that comes with psmt-viz.")]
Data = Annotated[str | None, Parameter(help="A data set; default: the one that the run was trained on.")]
Out = Annotated[Path | None, Parameter(help="Folder for the results; default: a new one under runs/.")]
Part = Annotated[
    Literal["val", "labeled", "unlabeled"],
    Parameter(help="Images: those for validation, or the labelled or unlabelled training images of the run's split."),
]
Seed = Annotated[int, Parameter(help="Determines everything random.", converter=whole_number)]
Device = Annotated[str, Parameter(help="auto, cpu, cuda or mps; auto uses a GPU if there is one.")]
Weights = Annotated[str, Parameter(help="Weights of the run: last, best, or epoch-NNNN if they were kept.")]
Eps = Annotated[float, Parameter(help="Norm of the perturbations, over all features of an image.")]
Sweep = Annotated[
    tuple[float, ...],
    several("Norms of the perturbations, each measured separately.", show_default=_numbers),
]
Model = Annotated[
    str | None,
    Parameter(
        help="Your own network in place of a run: `module:name` of it, or of a function that makes it; see the manual."
    ),
]
Layer = Annotated[Literal["z", "decoder", "logits"], Parameter(help="Layer of the student whose features are shown.")]
Layout = Annotated[
    Literal["frozen", "joint", "separate"],
    Parameter(
        help="frozen: place perturbed pixels on the map of the original ones; joint: fit one map to all panels; "
        "separate: one map per panel."
    ),
]
Neighbors = Annotated[
    Literal["exact", "approx"], Parameter(help="How nearest neighbours are found; approx is openTSNE's default.")
]
Batch = Annotated[
    int,
    Parameter(
        help="Images of one size to process at once, for a GPU; it only affects rounding.", converter=whole_number
    ),
]
ShownClasses = Annotated[
    tuple[str, ...],
    several("Classes to show; default: the five with the most correct pixels."),
]
Jobs = Annotated[int, Parameter(help="Threads of openTSNE; -1: all cores.", converter=whole_number)]
NPixels = Annotated[int, Parameter(help="Pixels on the map, the same number of each class.", converter=whole_number)]
Images = Annotated[int, Parameter(help="Number of images.", converter=whole_number)]
Classes = Annotated[tuple[str, ...], several("Names of the classes to keep; default: all.")]
ListFile = Annotated[Path | None, Parameter(help="A list file that replaces the data set's own.")]
Kinds = Annotated[
    tuple[str, ...],
    several(f"{', '.join(KINDS)}; default: all that are possible with the networks."),
]
Panels = Annotated[
    tuple[str, ...],
    several(
        "Kinds of perturbation, one panel each beside the original; any of those of perturb. Default: vat, and tvat "
        "or, without teachers, random."
    ),
]
Judges = Annotated[
    tuple[str, ...],
    several("Networks whose predictions are scored: student, a teacher, ensemble; default: all."),
]

SWEEP = (0.5, PAPER_EPS, 8.0, 32.0)
"""Default norms of a sweep."""
