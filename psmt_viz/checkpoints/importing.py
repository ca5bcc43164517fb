"""From a checkpoint of another codebase to a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psmt_viz.checkpoints.checkpoint import Checkpoint
from psmt_viz.checkpoints.reading import read_checkpoint
from psmt_viz.config import Config
from psmt_viz.data import open_data
from psmt_viz.data.cityscapes import CITYSCAPES_CLASSES
from psmt_viz.data.voc import VOC_CLASSES
from psmt_viz.errors import UserError
from psmt_viz.files import output_folder, sha256
from psmt_viz.models.weights import save_weights
from psmt_viz.presets import configure
from psmt_viz.runs import Origin, Run, is_run, versions

_CLASSES = {len(names): names for names in (VOC_CLASSES, CITYSCAPES_CLASSES)}
_PLAN = ("steps_per_epoch", "warmup_steps", "ramp_steps", "total_steps", "parts")
"""Of a training that took place elsewhere."""


def import_checkpoint(
    path: Path, out: Path | None = None, *, classes: Sequence[str] = (), data: str | None = None
) -> tuple[Run, Checkpoint]:
    """Makes a run folder of a checkpoint; it has no metrics.csv, because nothing was trained here.

    Args:
        path: The checkpoint.
        out: The run folder. Default: a new one under runs/import.
        classes: Class names in the order of their ids. Default: those of `data`, else Pascal VOC's 21 or Cityscapes'
            19 if their number fits, else class_0, class_1, ...
        data: The data set to analyse the run with. Default: none, and the commands need `--data`.

    Raises:
        UserError: if the checkpoint is none, names or data set have another number of classes, or the folder has a run.
    """
    found = read_checkpoint(path)
    if data is not None:
        names = open_data(data, classes=classes).classes
    else:
        numbered = tuple(f"class_{index}" for index in range(found.classes))
        names = tuple(classes) or _CLASSES.get(found.classes, numbered)
    if len(set(names)) != found.classes or len(names) != found.classes:
        fix = "name each once with --classes, in the order of their ids, or give other --data"
        raise UserError(f"{found.classes} classes, as {path} has", f"{len(names)}: {', '.join(names)}", fix)
    if out is not None and is_run(out):
        raise UserError(f"no run in {out}", "one that is there already", "give another --out")
    folder = output_folder(out, "import", path.stem)
    run = Run(
        folder=folder,
        config=_config(found, classes, data),
        classes=tuple(names),
        plan=dict.fromkeys(_PLAN, 0),
        data_fingerprint={"imported": path.name, "sha256": sha256(path), **found.facts},
        versions=versions(),
        imported_from=Origin(codebase=found.codebase, method=found.method, teachers=found.teachers),
    )
    networks = found.networks(names)
    for which in ("last", "best"):
        save_weights(networks, run.weights_path(which))
    # Last, because it is what makes a folder a run.
    run.write()
    return run, found


def _config(found: Checkpoint, classes: Sequence[str], data: str | None) -> Config:
    settings = {
        **vars(found.config),
        **found.settings,
        # The built-in data set stands for none: its classes are others, so that probes ask for --data.
        "data": "scenes" if data is None else data,
        "classes": () if data is None else tuple(classes),
    }
    return configure(found.preset, settings, recipe=found.recipe)
