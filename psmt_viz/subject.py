"""What is analysed: networks and a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import nn

from psmt_viz.checkpoints.own import with_weights
from psmt_viz.config import DataConfig
from psmt_viz.data import SegmentationData, open_data
from psmt_viz.errors import UserError
from psmt_viz.files import sha256
from psmt_viz.models.load import load_model, load_run
from psmt_viz.models.networks import Networks
from psmt_viz.runs import Run, RunFile


def resolve_device(name: str) -> str:
    """Returns a torch device for `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        UserError: if there is no such device here.
    """
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    there = ["cpu", *gpus]
    if torch.backends.mps.is_available():
        there.append("mps")
    if name == "auto":
        return "cuda" if gpus else there[-1]
    if name not in there and not (name == "cuda" and gpus):
        raise UserError(f"--device among auto, {', '.join(there)}", repr(name), "choose one of them")
    return name


def open_config_data(config: DataConfig) -> SegmentationData:
    """Opens the data set that a configuration names."""
    return open_data(config.data, **config.given())


_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """Networks that were trained elsewhere."""

    name: str
    """`module:name` of a network, of networks, or of a function that returns them."""
    cut: str | None = None
    """The module after which each is cut (see `models.split_at`)."""
    checkpoint: Path | None = None
    """A file with the weights."""
    title: str | None = None
    """What they are called; default: `module-name`."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Networks and the data set on which they are analysed."""

    name: str
    networks: Networks
    data: SegmentationData
    device: str
    facts: dict[str, Any]
    """The `subject` of a result: run or model, data set, device."""

    @classmethod
    def of_model(
        cls, model: Foreign, *, data: str | None, options: Mapping[str, Any] = _NOTHING, device: str
    ) -> Subject:
        """Opens networks that were trained elsewhere.

        Args:
            model: Where the networks are.
            data: The data set.
            options: Settings of its folder, as for `open_data`.
            device: A torch device, or `auto`.

        Raises:
            UserError: if model, data set or device do not exist or do not fit together.
        """
        if data is None:
            raise UserError("--data with --model", "no --data", "name the data set on which to analyse the model")
        device, opened = resolve_device(device), open_data(data, **options)
        facts: dict[str, Any] = {"model": model.name}
        prepare = None
        if model.checkpoint is not None:
            file = model.checkpoint

            def prepare(network: nn.Module) -> tuple[nn.Module, ...]:
                networks, facts["weights"] = with_weights(network, file)
                facts.update(checkpoint=file.name, sha256=sha256(file))
                return networks

        networks = load_model(model.name, opened.classes, cut=model.cut, prepare=prepare).to(device)
        if model.cut is not None:
            facts["split_at"] = model.cut
        facts |= {"dataset": opened.name, "device": device}
        name = model.title or model.name.replace(":", "-")
        return cls(name=name, networks=networks, data=opened, device=device, facts=facts)

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns the images of a part; networks that were trained elsewhere have only validation images.

        Raises:
            UserError: if there are none of the part.
        """
        if part != "val":
            got = f"--model, which has no split, with --part {part}"
            raise UserError(f"a run with --part {part}", got, "leave --part out")
        return self._found(self.data.ids("val"), f"validation images of {self.data.name}")

    def scoring(self, part: str = "val") -> dict[str, Any]:
        """Returns the settings of the probe `evaluate` with which a part is scored, as `ids` takes it."""
        return {"part": part, "ids": self.ids(part)}

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that the networks and their curves come from."""
        return ()

    @property
    def trained(self) -> Run | None:
        """The run whose training can be drawn."""
        return None

    def _found(self, ids: Sequence[str], wanted: str) -> tuple[str, ...]:
        if not ids:
            raise UserError(wanted, "none", "choose another part with --part")
        return tuple(ids)


@dataclass(frozen=True, kw_only=True)
class RunSubject(Subject):
    """A run with its networks."""

    run: Run
    weights: str
    """`last`, `best` or `epoch-NNNN`."""
    elsewhere: bool = False
    """Whether the data set is not the run's own."""

    @classmethod
    def open(
        cls,
        folder: Path | None,
        *,
        data: str | None,
        options: Mapping[str, Any] = _NOTHING,
        weights: str,
        device: str,
    ) -> Self:
        """Opens a run.

        Args:
            folder: The run folder; default: the run that comes with the project.
            data: A data set; default: the one that the run was trained on.
            options: Settings of its folder, as for `open_data`; default: the classes that the run kept.
            weights: `last`, `best` or `epoch-NNNN`.
            device: A torch device, or `auto`.

        Raises:
            UserError: if run, weights, data set or device do not exist, or the data set has other classes.
        """
        device, run = resolve_device(device), Run.open(folder)
        networks = load_run(run.folder, weights=weights, device=device)
        config = run.config.data
        if data is None:
            opened = open_config_data(config)
        else:
            kept = {"classes": config.classes} if config.classes and config.data != "scenes" else {}
            opened = open_data(data, names=run.classes, **{**kept, **options})
        if opened.classes != run.classes:
            got = ", ".join(opened.classes)
            raise UserError(f"data with the run's classes {', '.join(run.classes)}", got, "give other --data")
        facts = {**run.facts(opened.name), "weights": weights, "device": device}
        return cls(
            name=run.name,
            run=run,
            networks=networks,
            data=opened,
            elsewhere=data is not None,
            weights=weights,
            device=device,
            facts=facts,
        )

    def ids(self, part: str) -> tuple[str, ...]:
        """Returns the images of a part: `val`, or `labeled` or `unlabeled` of the run's split.

        Raises:
            UserError: if there are none, or they were listed for other data than this.
        """
        if part != "val" and self.elsewhere and self.run.config.data.labeled_list is not None:
            got = "--data, for which its labelled images were not listed"
            raise UserError(f"the run's own data with --part {part}", got, "leave --data out")
        if part == "val":
            return super().ids(part)
        split = self.run.config.data.split
        return self._found(getattr(self.data.split(split), part), f"{part} images in split {split}")

    def scoring(self, part: str = "val") -> dict[str, Any]:
        """Returns the settings of the probe `evaluate` that score a part as the run's own validation does."""
        views = self.run.config.views
        return {**super().scoring(part), "window": views.window, "window_stride": views.window_stride}

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The files that the networks and their curves come from."""
        run = self.run
        measured = (run.path(RunFile.METRICS),) if run.measured else ()
        return (run.path(RunFile.CONFIG), run.weights(self.weights), *measured)

    @property
    def trained(self) -> Run | None:
        """The run, where it was trained here."""
        return self.run if self.run.measured else None
