"""A folder of results, whatever it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd

from psmt_viz.errors import UserError
from psmt_viz.files import read_json
from psmt_viz.results.closeup import CloseUp
from psmt_viz.results.curves import Training
from psmt_viz.results.evaluate import Evaluation
from psmt_viz.results.gradcam import Cams
from psmt_viz.results.perturb import Flips
from psmt_viz.results.tables import read_csv
from psmt_viz.results.tsne import PixelEmbedding

TABLE = "table1.csv"
MANIFEST = "manifest.json"
_KINDS: dict[str, Any] = {
    "evaluation": Evaluation,
    "training": Training,
    "cams": Cams,
    "embedding": PixelEmbedding,
    "flips": Flips,
    "closeup": CloseUp,
}


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The results that lie in a folder; None where there is none of a sort."""

    evaluation: Evaluation | None = None
    training: Training | None = None
    table: pd.DataFrame | None = None
    """Table 1, as `figures.score_table` made it."""
    cams: Cams | None = None
    embedding: PixelEmbedding | None = None
    flips: Flips | None = None
    closeup: CloseUp | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    """What made what; empty where there is no manifest.json."""

    @staticmethod
    def there(folder: Path) -> bool:
        """Returns whether a folder holds any results."""
        return any((folder / name).is_file() for name in (TABLE, *(kind.FACTS for kind in _KINDS.values())))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads every result that a folder holds.

        Raises:
            UserError: if it holds none, or one is damaged.
        """
        found = {name: kind.load(folder) for name, kind in _KINDS.items() if (folder / kind.FACTS).is_file()}
        if (folder / TABLE).is_file():
            found["table"] = read_csv(folder / TABLE)
        if not found:
            got = "none of them" if folder.is_dir() else "no such folder"
            names = ", ".join(kind.FACTS for kind in _KINDS.values())
            fix = "give a folder that psmt-viz figures, tsne, gradcam, perturb or curves wrote"
            raise UserError(f"saved results ({names}) in {folder}", got, fix)
        manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
        return cls(**found, manifest=manifest)
