"""What finished runs of the grid have measured, as five tidy tables from which all figures are drawn."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, cast

import pandas as pd
from evidence_grid import Cell, flip_epochs, flips_folder, labeled_folder

from psmt_viz.config import Config, fixed_settings
from psmt_viz.errors import UserError
from psmt_viz.files import read_json
from psmt_viz.methods import METHODS
from psmt_viz.results import ROLES, Curves, Evaluation, Flips, Scores, read_csv, write_csv
from psmt_viz.runs import Run

MACHINE = "machine.json"
"""File of a run folder: the machines on which it was trained, in order."""
_RUN = "run"
_ALIKE = ("method_version", "parts", "images")


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Measurements of runs; `run`, the first column of each, is the key between them. Shares are in [0, 1]."""

    runs: pd.DataFrame
    """One row per run: dataset, split, arm, seed, settings, steps, images, versions, hours, machine and miou_<role>."""
    classes: pd.DataFrame
    """One row per run, role and class: iou, and labeled_iou on the labelled training images where it was measured."""
    epochs: pd.DataFrame
    """One row per run and epoch, with the columns of metrics.csv."""
    flips: pd.DataFrame
    """One row per run, epoch, kind of perturbation and judge, with the columns of flips.csv."""
    paired: pd.DataFrame
    """One row per run, epoch, judge and pair of kinds, with the columns of flips_paired.csv."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; where there is nothing, the tables are empty."""
        empty = pd.DataFrame(columns=[_RUN, "dataset", "split", "arm", "seed", *(f"miou_{role}" for role in ROLES)])
        paths = {each.name: folder / f"{each.name}.csv" for each in fields(cls)}
        return cls(**{name: read_csv(path) if path.is_file() else empty for name, path in paths.items()})

    def save(self, folder: Path) -> None:
        """Writes one CSV file per table."""
        folder.mkdir(parents=True, exist_ok=True)
        for each in fields(self):
            write_csv(folder / f"{each.name}.csv", getattr(self, each.name))

    def updated(self, new: Iterable[Mapping[str, pd.DataFrame]], without: Iterable[str] = ()) -> Tables:
        """Returns the tables with the rows of some runs added, in place of earlier ones of the same runs.

        Args:
            new: Of each run, tables by name, as `measured` returns them.
            without: Runs whose rows are taken out.

        Raises:
            UserError: if runs of one data set and labelled share were trained with other versions of the method, on
                other images, or with other micro-batches.
        """
        found = list(new)
        names = {name for run in found for name in run["runs"][_RUN]} | set(without)
        tables = {}
        for name in (each.name for each in fields(self)):
            before, added = getattr(self, name), [run[name] for run in found if name in run]
            parts = [each for each in (before[~before[_RUN].isin(names)], *added) if len(each)]
            table = pd.concat(parts, ignore_index=True) if parts else before.iloc[:0]
            tables[name] = table.sort_values(_RUN, kind="stable", ignore_index=True)
        for (dataset, split), of in tables["runs"].groupby(["dataset", "split"]):
            # Tables without a column of versions hold runs of version 1.
            alike = of.reindex(columns=[_RUN, *_ALIKE]).fillna({"method_version": 1})
            kinds = [" and ".join(same[_RUN]) for _, same in alike.groupby(list(_ALIKE), dropna=False)]
            if len(kinds) > 1:
                wanted = f"the same method, images and micro-batches in all runs of {dataset} {split}"
                raise UserError(wanted, " against ".join(kinds), "keep them apart with --tables or --variant")
        return Tables(**tables)

    def curves(self, dataset: str, split: str, labels: Mapping[str, str]) -> list[Curves]:
        """Returns what the runs of a data set and labelled share measured through training.

        Args:
            dataset: The data set.
            split: The labelled share.
            labels: Arm -> its name in the legend; other arms are not drawn.
        """
        chosen = self.runs[(self.runs["dataset"] == dataset) & (self.runs["split"] == split)]
        found = []
        for arm, label in labels.items():
            for row in chosen[chosen["arm"] == arm].to_dict("records"):
                metrics = self.epochs[self.epochs[_RUN] == row[_RUN]].drop(columns=_RUN).reset_index(drop=True)
                batches = {name: int(row[name]) for name in ("batch_labeled", "batch_unlabeled")}
                images = METHODS[row["method"]].of(batches).images_per_step
                found.append(Curves(name=label, metrics=metrics, ramp={}, images_per_step=images))
        return found

    def scores(self) -> list[tuple[str, Scores]]:
        """Returns the scores of each run with the name of its experiment, ready for Table 1."""
        found = []
        names = self.classes.reindex(columns=[_RUN, "class"]).groupby(_RUN)["class"].unique()
        for row in cast(list[dict[str, Any]], self.runs.to_dict("records")):
            miou = {role: row[f"miou_{role}"] for role in ROLES if pd.notna(row[f"miou_{role}"])}
            subject = {name: row[name] for name in (_RUN, "dataset", "split")}
            facts = {"images": row.get("val_images")}
            scores = Scores(miou=miou, classes=tuple(names.get(row[_RUN], ())), subject=subject, facts=facts)
            found.append((f"{row['dataset']} {row['split']}, {row['arm']}", scores))
        return found


def finished(folder: Path) -> bool:
    """Returns whether a run has taken its last step and been evaluated after it."""
    if not (folder / Evaluation.FACTS).is_file() or not (run := Run.open(folder)).measured:
        return False
    steps = run.metrics()["step"]
    return len(steps) > 0 and int(steps.iloc[-1]) == run.plan["total_steps"]


def compared(config: Config) -> dict[str, Any]:
    """Returns the settings that must be equal in runs that are compared; the path of the images may differ."""
    lists = {name: getattr(config.data, name) for name in ("labeled_list", "unlabeled_list", "val_list")}
    return {**fixed_settings(config), "lists": lists}


def check_settings(cell: Cell, run: Run) -> None:
    """Refuses a run that was trained with other settings than its cell's.

    Raises:
        UserError: in that case.
    """
    if compared(run.config) != compared(cell.config()):
        fix = "give runs with other settings a name of their own with --variant"
        raise UserError(f"the settings of {cell.dataset} in {run.folder}", "others", fix)


def measured(cell: Cell, folder: Path) -> dict[str, pd.DataFrame]:
    """Returns the rows of a finished run in each table.

    Raises:
        UserError: if it was trained with other settings than its cell's.
    """
    run, evaluation = Run.open(folder), Evaluation.load(folder)
    check_settings(cell, run)
    config, miou = run.config, evaluation.miou
    images = [run.data_fingerprint["sha256"], run.data_fingerprint["split_sha256"]]
    row = {
        "dataset": cell.dataset,
        "split": cell.split,
        "arm": cell.arm,
        "seed": cell.seed,
        "method": config.method.method,
        "method_version": run.method_version,
        "recipe": config.recipe,
        "perturbation": config.flat().get("perturbation", "none"),
        "backbone": config.model.backbone,
        "precision": config.system.precision,
        "crop": config.views.crop,
        "batch_labeled": config.method.batch_labeled,
        "batch_unlabeled": config.method.batch_unlabeled,
        "lr": config.optim.lr,
        "ema": config.flat().get("ema"),
        "parts": run.plan["parts"],
        "steps": run.plan["total_steps"],
        "images": hashlib.sha256(" ".join(images).encode()).hexdigest()[:12],
        "train_images": run.data_fingerprint["train"],
        "val_images": run.data_fingerprint["val"],
        "psmt_viz": run.versions["psmt-viz"],
        "torch": run.versions["torch"],
        "hours": round(read_csv(folder / "timing.csv")["seconds"].sum() / 3600, 3),
        # A run that was trained by hand has no note.
        "machine": " then ".join(read_json(folder / MACHINE)) if (folder / MACHINE).is_file() else "not noted",
        **{f"miou_{role}": miou.get(role, math.nan) for role in ROLES},
    }
    classes = _by_class(evaluation, "iou")
    if (labeled_folder(folder) / Evaluation.FACTS).is_file():
        labeled = _by_class(Evaluation.load(labeled_folder(folder)), "labeled_iou")
        classes = classes.merge(labeled, on=["role", "class"], how="left")
    tables = {"runs": pd.DataFrame([row]), "classes": classes, "epochs": run.metrics()}
    folders = {e: flips_folder(folder, e) for e in flip_epochs(config.method)} if cell.perturbed else {}
    if folders and all((path / Flips.FACTS).is_file() for path in folders.values()):  # all of its epochs, or none
        found = {epoch: Flips.load(path) for epoch, path in folders.items()}
        tables["flips"] = pd.concat([each.flips.assign(epoch=epoch) for epoch, each in found.items()])
        tables["paired"] = pd.concat([each.paired.assign(epoch=epoch) for epoch, each in found.items()])
    for table in tables.values():
        table.insert(0, _RUN, cell.name)
    return tables


def _by_class(evaluation: Evaluation, name: str) -> pd.DataFrame:
    """IoU by role and class, as a column of that name."""
    table = evaluation.table().drop(columns=["miou", "pixel_accuracy"]).melt("role", var_name="class", value_name=name)
    return table.assign(**{"class": table["class"].str.removeprefix("iou_")})
