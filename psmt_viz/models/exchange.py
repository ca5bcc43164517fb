"""The PS-MT authors' checkpoints, read and written."""

from __future__ import annotations

import argparse
import math
import pickle
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psmt_viz.config import Config, ModelConfig
from psmt_viz.data import open_data
from psmt_viz.data.cityscapes import CITYSCAPES_CLASSES
from psmt_viz.data.voc import VOC_CLASSES
from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write, output_folder, sha256
from psmt_viz.models.build import build, build_networks
from psmt_viz.models.load import load_run
from psmt_viz.models.networks import Networks
from psmt_viz.models.weights import save_weights
from psmt_viz.presets import configure
from psmt_viz.runs import Run, versions

_ARCH = "psmt-deeplabv3plus"
_ROLES = {"teacher1": "1", "teacher2": "2", "student": "_s"}
"""Role -> what their keys call it."""
_LAST_CONV = {"0.": "decoder.0.0.", "1.": "decoder.0.1.", "3.": "decoder.1.0.", "4.": "decoder.1.1."}
_UNUSED = tuple(f"encoder{mark}.head.last_conv." for mark in _ROLES.values())
"""Weights that their files hold and their networks never use: a second set of the decoder's shapes."""
_MODULES = {
    "encoder{}.backbone.": "backbone.body.",
    "encoder{}.head.aspp.": "aspp.",
    "encoder{}.head.reduce.": "reduce.",
    **{"encoder{}.head.last_conv." + theirs: ours for theirs, ours in _LAST_CONV.items()},
    "decoder{}.upsample.classifier.": "classifier.",
    **{"decoder{}.upsample.last_conv." + theirs: ours for theirs, ours in _LAST_CONV.items()},
}
"""Their names of a network's modules, in the order of their files, -> ours."""
_BACKBONES = {6: "resnet50s", 23: "resnet101s"}
"""Blocks of the third stage -> backbone."""
_CLASSES = {len(names): names for names in (VOC_CLASSES, CITYSCAPES_CLASSES)}
_SPLITS = {
    "voc": {662: "1_16", 1323: "1_8", 2646: "1_4", 5291: "1_2"},
    "voc-classic": {92: "92", 183: "183", 366: "366", 732: "732", 1464: "1464"},
    "cityscapes": {186: "1_16", 372: "1_8", 744: "1_4", 1488: "1_2"},
}
"""Preset -> labelled images -> split."""
_PLAN = ("steps_per_epoch", "warmup_steps", "ramp_steps", "total_steps", "parts")
"""Of a training that took place elsewhere."""
_SCALAR: Any = np.float64().__reduce__()[0]
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    np.dtype,
    np.dtypes.Float64DType,
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
]
"""What their files hold beside weights: the command line, and the score as NumPy's float, under its old or new name."""


@dataclass(frozen=True, kw_only=True)
class OfficialCheckpoint:
    """An authors' checkpoint, with its keys translated."""

    path: Path
    config: ModelConfig
    """The network that it belongs to, as read from its shapes."""
    classes: int
    weights: Mapping[str, Mapping[str, Tensor]]
    """Role -> a network's state."""
    dropped: tuple[str, ...]
    """Keys that nothing uses."""
    facts: Mapping[str, int | float]
    """`epoch`, `monitor_best` (its mIoU) and `labeled_examples`, where it tells them."""

    def networks(self, names: Sequence[str]) -> Networks:
        """Returns the networks, in eval mode.

        Args:
            names: Class names in the order of their ids.
        """
        networks = build_networks(self.config, names, teachers=("teacher1", "teacher2"))
        for role, network in networks.by_role().items():
            # Their files lack the input scale, which is ImageNet's there too.
            network.load_state_dict({**network.state_dict(), **self.weights[role]})
        return networks.eval()


def read_official(path: Path) -> OfficialCheckpoint:
    """Reads an authors' checkpoint, of either depth and any number of classes; no code in it is run.

    Args:
        path: A file of `torch.save`: {"state_dict": ..., ...}, or the state alone.

    Raises:
        UserError: if it is missing, damaged, wants code to be run, or holds other weights.
    """
    found = _load(path)
    state = found.get("state_dict", found) if isinstance(found, dict) else None
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise UserError(f"a state_dict in {path}", type(found).__name__, "give a checkpoint of PS-MT")
    state = {key.removeprefix("module."): value for key, value in state.items()}
    config, classes = _network(state, path)
    with torch.device("meta"):
        own = build(config, classes).state_dict()
    layout = official_layout(own)
    used = {key: place for key, place in layout.items() if not key.startswith(_UNUSED)}
    faults = [f"no {key}" for key in used if key not in state]
    faults += [f"unknown {key}" for key in state if key not in layout]
    faults += [
        f"{key} as {_kind(state[key])}, not {_kind(own[ours])}"
        for key, (_, ours) in used.items()
        if key in state and _kind(state[key]) != _kind(own[ours])
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        got = f"{'; '.join(faults[:3])}{more}"
        raise UserError(f"the weights of the authors' {config.backbone} in {path}", got, "give a checkpoint of PS-MT")
    weights: dict[str, dict[str, Tensor]] = {role: {} for role in _ROLES}
    for key, (role, ours) in used.items():
        weights[role][ours] = state[key]
    dropped = tuple(key for key in state if key.startswith(_UNUSED))
    return OfficialCheckpoint(
        path=path, config=config, classes=classes, weights=weights, dropped=dropped, facts=_facts(found)
    )


def import_official(
    path: Path, out: Path | None = None, *, classes: Sequence[str] = (), data: str | None = None
) -> tuple[Run, OfficialCheckpoint]:
    """Makes a run folder of an authors' checkpoint; it has no metrics.csv, because nothing was trained here.

    Args:
        path: The checkpoint.
        out: The run folder; left out, a new one under runs/import.
        classes: Class names in the order of their ids; left out, those of `data`, else Pascal VOC's 21 or Cityscapes'
            19 if their number fits, else class_0, class_1, ...
        data: The data set that the run is looked at with; left out, probes want `--data`.

    Raises:
        UserError: if the checkpoint is none, names or data set have another number of classes, or the folder has a run.
    """
    official = read_official(path)
    if data is not None:
        names = open_data(data, classes=classes).classes
    else:
        numbered = tuple(f"class_{index}" for index in range(official.classes))
        names = tuple(classes) or _CLASSES.get(official.classes, numbered)
    if len(set(names)) != official.classes or len(names) != official.classes:
        fix = "name each once with --classes, in the order of their ids, or give other --data"
        raise UserError(f"{official.classes} classes, as {path} has", f"{len(names)}: {', '.join(names)}", fix)
    if out is not None and (out / "config.json").exists():
        raise UserError(f"no run in {out}", "one that is there already", "give another --out")
    folder = output_folder(out, "import", path.stem)
    run = Run(
        folder=folder,
        config=_config(official, classes, data),
        classes=tuple(names),
        plan=dict.fromkeys(_PLAN, 0),
        data_fingerprint={"imported": path.name, "sha256": sha256(path), **official.facts},
        versions=versions(),
    )
    networks = official.networks(names)
    for which in ("last", "best"):
        save_weights(networks, run.folder / f"{which}.safetensors")
    # Last, because it is what makes a folder a run.
    run.write()
    return run, official


def export_official(run: Run, path: Path, *, weights: str = "last") -> None:
    """Writes a run's networks as the authors' code saves and loads them, whole.

    What their encoders hold and never use is filled with the decoder's weights.

    Args:
        run: A run of student and teachers, `--arch psmt-deeplabv3plus`.
        path: The file to write.
        weights: `last`, `best` or `epoch-NNNN`.

    Raises:
        UserError: if the run has another network, or no teachers or no such weights.
    """
    arch, method = run.config.model.arch, run.config.method.method
    if arch != _ARCH or method != "psmt":
        raise UserError(f"a run of --arch {_ARCH} --method psmt", f"{arch}, {method}", "choose such a run")
    states = {role: network.state_dict() for role, network in load_run(run.folder, weights=weights).by_role().items()}
    state = {key: states[role][ours] for key, (role, ours) in official_layout(states["student"]).items()}
    told = {"epoch": len(run.metrics())} if run.measured else run.data_fingerprint
    saved = {name: told[name] for name in ("epoch", "monitor_best") if name in told}
    with atomic_write(path) as temporary:
        torch.save({"arch": _ARCH, "state_dict": state, **saved}, temporary)


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"a checkpoint {path}", "nothing there", "check the path") from None
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        got = f"one that wants {wanted[1]} to be run" if wanted else "something else"
        raise UserError(f"a checkpoint of weights in {path}", got, "give one that you trust") from None
    except Exception as error:  # a damaged pickle raises almost anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"a whole checkpoint {path}", reason, "download it again, or give another") from None


def _network(state: Mapping[str, Any], path: Path) -> tuple[ModelConfig, int]:
    blocks = {match[1] for key in state if (match := re.match(r"encoder_s\.backbone\.layer3\.(\d+)\.", key))}
    backbone = _BACKBONES.get(len(blocks))
    last = state.get("decoder_s.upsample.classifier.weight")
    if backbone is None or not isinstance(last, Tensor) or last.ndim != 4 or not len(last):
        some = ", ".join(list(state)[:3]) or "nothing"
        fix = "give a checkpoint of PS-MT with ResNet-50 or ResNet-101"
        raise UserError(f"encoder_s and decoder_s of the authors' network in {path}", some, fix)
    return ModelConfig(arch=_ARCH, backbone=backbone, pretrained=False), len(last)


def official_layout(keys: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Returns their key -> role and our key, in the order of their files."""
    keys = list(keys)
    return {
        theirs.format(mark) + key.removeprefix(ours): (role, key)
        for role, mark in _ROLES.items()
        for theirs, ours in _MODULES.items()
        for key in keys
        if key.startswith(ours)
    }


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _facts(found: Mapping[str, Any]) -> dict[str, int | float]:
    told = {name: found.get(name) for name in ("epoch", "monitor_best")}
    told["labeled_examples"] = getattr(found.get("args"), "labeled_examples", None)
    return {
        name: float(value) if isinstance(value, float) else value
        for name, value in told.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _config(official: OfficialCheckpoint, classes: Sequence[str], data: str | None) -> Config:
    labeled = official.facts.get("labeled_examples")
    preset = "cityscapes" if official.classes == len(CITYSCAPES_CLASSES) else "voc"
    if labeled in _SPLITS["voc-classic"] and preset == "voc":
        preset = "voc-classic"
    settings = {
        **vars(official.config),
        "split": next((split for count, split in _SPLITS[preset].items() if count == labeled), "unknown"),
        # The embedded data set stands for none: its classes are others, so that probes ask for --data.
        "data": "scenes" if data is None else data,
        "classes": () if data is None else tuple(classes),
    }
    return configure(preset, settings, recipe="official-code")
