"""The run folder: what training leaves behind and everything else reads."""

from __future__ import annotations

import platform
import warnings
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import pandas as pd

from psmt_viz.config import Config
from psmt_viz.errors import UserError
from psmt_viz.files import leftovers, read_json, write_json
from psmt_viz.results import Curves, Evaluation, read_csv

_PLAN = ("steps_per_epoch", "warmup_steps", "ramp_steps", "total_steps", "parts")
METHOD_VERSION = 2
"""Of the training method as it is implemented here; the manual says what each version changed."""
_RECORDED = ("psmt-viz", "torch", "torchvision", "timm", "numpy")


class RunFile(StrEnum):
    """The files of a run folder; beside them may be weights of single epochs and TensorBoard's events."""

    CONFIG = "config.json"
    METRICS = "metrics.csv"
    TIMING = "timing.csv"
    STATE = "state.pt"
    LAST = "last.safetensors"
    BEST = "best.safetensors"
    SCORES, CONFUSION, SCORING = Evaluation.FILES
    RESULTS_PICTURE = "results.png"
    BATCH_PICTURE = "batch.png"
    CONFUSION_PICTURE = "confusion.png"


TENSORBOARD = "tensorboard"
"""Folder of TensorBoard's events in a run folder."""
_EPOCH = "epoch-{}"
"""What the weights of an epoch are called."""


def epoch_name(epoch: int) -> str:
    """Returns what the weights of an epoch, counted from 1, are called."""
    return _EPOCH.format(f"{epoch:04d}")


def is_run(folder: Path) -> bool:
    """Returns whether a folder is a run folder."""
    return (folder / RunFile.CONFIG).is_file()


def unfinished(folder: Path) -> list[Path]:
    """Returns what a killed run left of the files that it was writing."""
    return leftovers(folder, [*RunFile, _weights(_EPOCH.format("*"))])


def _weights(which: str) -> str:
    return f"{which}.safetensors"


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
class Origin:
    """Where the weights of a run come from that were trained elsewhere."""

    codebase: str
    """Whose checkpoint it was, such as `PS-MT`."""
    method: str
    """Name of the method of training, as tables show it."""
    teachers: tuple[str, ...]
    """Names of the teachers in it."""


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
    method_version: int = METHOD_VERSION
    """Version of the method that it was trained with."""
    imported_from: Origin | None = None
    """Of weights that were trained elsewhere; folders of earlier versions do not tell."""

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
            "method": self.method,
            "method_version": self.method_version,
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
            "method_version": self.method_version,
        }
        if self.imported_from is not None:
            facts["imported_from"] = asdict(self.imported_from)
        write_json(self.path(RunFile.CONFIG), facts)

    @classmethod
    def open(cls, folder: Path | None = None) -> Self:
        """Reads a run folder; by default the one that comes with the project.

        Warns where the run was trained with an earlier version of the method.

        Raises:
            UserError: if it is not a run folder.
        """
        folder = shipped_run() if folder is None else folder
        path = folder / RunFile.CONFIG
        if not is_run(folder):
            got = f"no {path.name} in it" if folder.is_dir() else "no such folder"
            raise UserError(f"a run folder {folder}", got, "give a folder that psmt-viz train wrote")
        facts = read_json(path)
        try:
            config = Config.from_dict(facts["config"])
            plan = {name: int(facts["plan"][name]) for name in _PLAN}
            if config.method.unsupervised is None:
                # Earlier versions gave a length also to the control, which has nothing that grows.
                plan["ramp_steps"] = 0
            run = cls(
                folder=folder,
                config=config,
                classes=tuple(facts["classes"]),
                plan=plan,
                data_fingerprint=facts["data_fingerprint"],
                versions=facts["versions"],
                method_version=int(facts.get("method_version", 1)),
                imported_from=_origin(facts.get("imported_from")),
            )
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"a run's facts in {path}", f"{error!r}", "restore the file or train again") from None
        if run.method_version != METHOD_VERSION and not run.imported:
            words = f"{folder} was trained with version {run.method_version} of the method, not {METHOD_VERSION}"
            # Of one place, so that a command that opens the run several times says it once.
            warnings.warn(f"{words}; the manual's page on training says what changed", stacklevel=1)
        return run

    def path(self, file: RunFile) -> Path:
        """Returns where a file of the run is, or goes."""
        return self.folder / file

    def weights_path(self, which: str) -> Path:
        """Returns where the `last` or `best` weights, or those of an epoch (see `epoch_name`), are or go."""
        return self.folder / _weights(which)

    def epoch_weights(self) -> list[Path]:
        """Returns the weights of single epochs that were kept, the oldest first."""
        return sorted(self.folder.glob(_weights(_EPOCH.format("*"))))

    def weights(self, which: str = "last") -> Path:
        """Returns the path of the `last` or the `best` weights, or of those kept from an epoch (`epoch-0007`).

        Raises:
            UserError: if they are not there.
        """
        path = self.weights_path(which)
        if not path.is_file():
            there = sorted(file.name for file in self.folder.glob(_weights("*"))) or ["no weights"]
            raise UserError(f"weights {path}", ", ".join(there), "train the run to an end, or choose another run")
        return path

    @property
    def method(self) -> str:
        """The name of the method that it was trained with, here or elsewhere."""
        return self.config.method.method if self.imported_from is None else self.imported_from.method

    @property
    def teachers(self) -> tuple[str, ...]:
        """The names of its teachers."""
        if self.imported_from is not None:
            return self.imported_from.teachers
        return self.config.method.teachers

    @property
    def imported(self) -> bool:
        """Whether the run was made from weights that were trained elsewhere."""
        return self.imported_from is not None or not any(self.plan.values())

    @property
    def measured(self) -> bool:
        """Whether the run was trained here; an imported one has no metrics.csv."""
        return self.path(RunFile.METRICS).is_file()

    def metrics(self) -> pd.DataFrame:
        """Returns metrics.csv, one row per epoch.

        Raises:
            UserError: if it is not there or is no table.
        """
        if not self.measured:
            fix = "give a run that was trained here; an imported one has none"
            raise UserError(f"measurements {self.path(RunFile.METRICS)}", "nothing there", fix)
        return read_csv(self.path(RunFile.METRICS))

    def curves(self, name: str | None = None) -> Curves:
        """Returns what the run measured after each epoch, ready to draw.

        Args:
            name: That of `experiments`, which several seeds share; by default the run's own.
        """
        method, ramp = self.config.method, {}
        if (weight := method.unsupervised) is not None:
            ramp = {
                "kind": weight.ramp,
                "length": self.plan["ramp_steps"],
                "final_weight": weight.final,
                "total_steps": self.plan["total_steps"] - self.plan["warmup_steps"],
            }
        return Curves(name=name or self.name, metrics=self.metrics(), ramp=ramp, images_per_step=method.images_per_step)


def _origin(told: Any) -> Origin | None:
    if told is None:
        return None
    return Origin(codebase=told["codebase"], method=told["method"], teachers=tuple(told["teachers"]))
