"""What every result has: where it comes from, what was asked, what was used and what was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

from psmt_viz.errors import UserError
from psmt_viz.files import read_json, write_json
from psmt_viz.results.old_form import sorted_parameters

PARTS = ("subject", "asked", "used", "measured")
"""The four parts of a result's facts, in memory and in its JSON file."""


@dataclass(frozen=True, kw_only=True)
class Result(ABC):
    """Tables or arrays with the facts that belong to them, in four parts that cannot overwrite each other.

    A result is registered once, in `results.registry`. Its name is the word of its command and of the modules that
    make it (`probes.NAME`), draw it (`figures.NAME`) and show it on the page (`report.NAME`).
    """

    subject: Mapping[str, Any] = field(default_factory=dict)
    """What the caller says of the networks and the data: run or model, dataset, split, method, method_version,
    backbone, weights, device."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The settings as they were given."""
    used: Mapping[str, Any] = field(default_factory=dict)
    """What the settings resolved to, and what else the numbers depend on."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """What was found, beside the tables and arrays."""
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)
    """How long the parts of the work took; not saved, since equal inputs give equal files."""

    NAME: ClassVar[str]
    """The command's word."""
    COMMAND: ClassVar[str]
    """The words after `psmt-viz` that make such a result."""
    TITLE: ClassVar[str]
    """What the page calls it."""
    FACTS: ClassVar[str]
    """The file whose presence says that a folder holds this result."""
    DRAWING: ClassVar[tuple[str, ...]] = ()
    """Settings of the figures alone. They stand in `asked`, so that drawing again gives the same figures."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """All but the subject in one view: what was measured goes before what was used, and that before what was asked.

        For text below a figure, where a name stands once.
        """
        return MappingProxyType({**self.asked, **self.used, **self.measured})

    def provenance(self) -> dict[str, Any]:
        """Returns what the files of a figure say of its origin: the four parts of the facts."""
        return {part: dict(getattr(self, part)) for part in PARTS}

    @abstractmethod
    def save(self, folder: Path) -> list[Path]:
        """Writes the result's files; returns their paths."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: if a file is missing or damaged.
        """

    @classmethod
    @contextmanager
    def _reading(cls, folder: Path) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
        """Yields what is in the JSON file, and its four parts, also of a file in the form of earlier versions.

        Raises:
            UserError: if the file is missing, or it or what is read in the block is damaged.
        """
        facts = read_json(folder / cls.FACTS)
        try:
            if "parameters" in facts:
                yield facts, sorted_parameters(cls.NAME, facts["parameters"])
            else:
                yield facts, {part: facts[part] for part in PARTS}
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            wanted = f"the facts of a result ({cls.TITLE}) in {folder / cls.FACTS} and the files beside it"
            raise UserError(wanted, f"{error!r}", "restore the files or make them again") from None

    def _write_facts(self, folder: Path, **own: Any) -> Path:
        """Writes the JSON file: what is this result's own, then the four parts."""
        path = folder / self.FACTS
        write_json(path, {**own, **{part: dict(getattr(self, part)) for part in PARTS}})
        return path
