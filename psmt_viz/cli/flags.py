"""The flags that the commands of `psmt-viz` share; those that are settings are made in `cli.settings`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from psmt_viz.kinds import KINDS, SWEEP


def whole_number(kind: Any, tokens: Sequence[Any]) -> int:
    """Reads an integer; cyclopts itself would round 1.5."""
    return int(tokens[0].value)


def several(help: str) -> Parameter:
    """Returns a flag of several values (`--eps 1 2`), without an `--empty-` twin; its help names the default."""
    return Parameter(help=help, consume_multiple=True, negative_iterable="", show_default=False)


def numbers(values: Sequence[float]) -> str:
    """Returns numbers as they are typed."""
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
Sweep = Annotated[
    tuple[float, ...] | None,
    several(f"Norms of the perturbations, each measured separately; default: {numbers(SWEEP)}."),
]


@dataclass(frozen=True, kw_only=True)
class TheirNetwork:
    """Networks in place of a run."""

    model: Annotated[
        str | None,
        Parameter(
            help="Your own network in place of a run: `module:name` of it, or of a function that makes it; see the "
            "manual."
        ),
    ] = None
    split_at: Annotated[
        str | None,
        Parameter(
            help="The module of --model, by its dotted name, whose output is perturbed; for networks of a known "
            "library not needed."
        ),
    ] = None
    checkpoint: Annotated[
        Path | None, Parameter(help="A file with the weights of --model: safetensors, or of torch.save.")
    ] = None
    name: Annotated[str | None, Parameter(help="What to call --model in tables and figures.")] = None


Model = Annotated[TheirNetwork | None, Parameter(name="*")]
Kinds = Annotated[
    tuple[str, ...],
    several(f"{', '.join(KINDS)}; default: all that are possible with the networks."),
]
Judges = Annotated[
    tuple[str, ...],
    several("Networks whose predictions are scored: student, a teacher, ensemble; default: all."),
]
