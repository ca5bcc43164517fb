"""The run folder: what training leaves behind and everything else reads."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import pandas as pd

from psmt_viz.config import Config
from psmt_viz.errors import UserError
from psmt_viz.files import read_json, write_json
from psmt_viz.results import Curves, read_csv

_PLAN = ("steps_per_epoch", "warmup_steps", "ramp_steps", "total_steps", "parts")
_RECORDED = ("psmt-viz", "torch", "torchvision", "timm", "numpy")


def versions() -> dict[str, str]:
    """Returns the versions of this project, of Python and of the libraries that shape the numbers."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _RECORDED}


def shipped_run() -> Path:
    """Returns the folder of the run that comes with the project."""
    package = Path(__file__).resolve().parent
    # Beside the package in a checkout, inside it once installed.
    beside, inside = package.parent / "checkpoints" / "scenes", package / "checkpoints" / "scenes"
    return beside if beside.is_dir() else inside


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run folder and the facts that it was started with."""

    folder: Path
    config: Config
    classes: tuple[str, ...]
    plan: dict[str, Any]
    """steps_per_epoch, warmup_steps, ramp_steps, total_steps and parts, as they were resolved."""
    data_fingerprint: dict[str, Any]
    versions: dict[str, str]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def facts(self, dataset: str) -> dict[str, Any]:
        """Returns what a table says of the run beside its scores, with the name of the data set scored."""
        config = self.config
        return {
            "run": self.name,
            "dataset": dataset,
            "split": config.data.split if config.data.labeled_list is None else "own lists",
            "method": config.method.method,
            "backbone": config.model.backbone,
        }

    def write(self) -> None:
        """Writes config.json."""
        facts = {
            "classes": list(self.classes),
            "config": self.config.as_dict(),
            "plan": self.plan,
            "data_fingerprint": self.data_fingerprint,
            "versions": self.versions,
        }
        write_json(self.folder / "config.json", facts)

    @classmethod
    def open(cls, folder: Path | None = None) -> Self:
        """Reads a run folder; left out, the one that comes with the project.

        Raises:
            UserError: if it is not a run folder.
        """
        folder = shipped_run() if folder is None else folder
        path = folder / "config.json"
        if not path.is_file():
            got = "no config.json in it" if folder.is_dir() else "no such folder"
            raise UserError(f"a run folder {folder}", got, "give a folder that psmt-viz train wrote")
        facts = read_json(path)
        try:
            return cls(
                folder=folder,
                config=Config.from_dict(facts["config"]),
                classes=tuple(facts["classes"]),
                plan={name: int(facts["plan"][name]) for name in _PLAN},
                data_fingerprint=facts["data_fingerprint"],
                versions=facts["versions"],
            )
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"a run's facts in {path}", f"{error!r}", "restore the file or train again") from None

    def weights(self, which: str = "last") -> Path:
        """Returns the path of the `last` or the `best` weights, or of those kept from an epoch (`epoch-0007`).

        Raises:
            UserError: if they are not there.
        """
        path = self.folder / f"{which}.safetensors"
        if not path.is_file():
            there = sorted(file.name for file in self.folder.glob("*.safetensors")) or ["no weights"]
            raise UserError(f"weights {path}", ", ".join(there), "train the run to an end, or choose another run")
        return path

    @property
    def imported(self) -> bool:
        """Whether the run was made from weights that were trained elsewhere."""
        return not any(self.plan.values())

    @property
    def measured(self) -> bool:
        """Whether the run was trained here; an imported one has no metrics.csv."""
        return (self.folder / "metrics.csv").is_file()

    def metrics(self) -> pd.DataFrame:
        """Returns metrics.csv, one row an epoch.

        Raises:
            UserError: if it is not there or is no table.
        """
        if not self.measured:
            fix = "give a run that was trained here; an imported one has none"
            raise UserError(f"measurements {self.folder / 'metrics.csv'}", "nothing there", fix)
        return read_csv(self.folder / "metrics.csv")

    def curves(self) -> Curves:
        """Returns what the run measured after each epoch, ready to draw."""
        ramp = {}
        if self.config.method.method == "psmt":
            ramp = {
                "kind": self.config.method.ramp,
                "length": self.plan["ramp_steps"],
                "final_weight": self.config.method.unsup_weight,
                "total_steps": self.plan["total_steps"] - self.plan["warmup_steps"],
            }
        return Curves(name=self.name, metrics=self.metrics(), ramp=ramp)
