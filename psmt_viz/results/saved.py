"""A folder of results, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from psmt_viz.errors import UserError
from psmt_viz.files import read_json
from psmt_viz.results.registry import RESULTS, commands
from psmt_viz.results.result import Result

MANIFEST = "manifest.json"
Kind = TypeVar("Kind", bound=Result)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The results that lie in a folder."""

    results: Mapping[str, Result] = field(default_factory=dict)
    """Name of the registry -> result, in the registry's order."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """The results' provenance: inputs, settings, versions and hashes; empty where there is no manifest.json."""

    @classmethod
    def of(cls, *results: Result, manifest: Mapping[str, Any] | None = None) -> Self:
        """Takes results in any order; of several of one sort, the last."""
        given = {result.NAME: result for result in results}
        return cls(results={name: given[name] for name in RESULTS if name in given}, manifest=manifest or {})

    def get(self, kind: type[Kind]) -> Kind | None:
        """Returns the result of a sort, or None where there is none."""
        found = self.results.get(kind.NAME)
        return found if isinstance(found, kind) else None

    def beside(self, *results: Result) -> Self:
        """Returns the same with results that were made later, in place of those of their sort."""
        return self.of(*self.results.values(), *results, manifest=self.manifest)

    @staticmethod
    def there(folder: Path) -> bool:
        """Returns whether a folder holds any results."""
        return any((folder / kind.FACTS).is_file() for kind in RESULTS.values())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads every result that a folder holds.

        Raises:
            UserError: if it holds none, or one is damaged.
        """
        found = {name: kind.load(folder) for name, kind in RESULTS.items() if (folder / kind.FACTS).is_file()}
        if not found:
            got = "none of them" if folder.is_dir() else "no such folder"
            names = ", ".join(kind.FACTS for kind in RESULTS.values())
            fix = f"give a folder that psmt-viz {commands()} wrote"
            raise UserError(f"saved results ({names}) in {folder}", got, fix)
        manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
        return cls(results=found, manifest=manifest)
