"""The PS-MT authors' checkpoints, read and written: a student and two teachers in one state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from psmt_viz.checkpoints.checkpoint import Checkpoint
from psmt_viz.checkpoints.states import keys_of, numbers, placed, resnet_of, rows_of, state_of
from psmt_viz.config import ModelConfig
from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write
from psmt_viz.models.load import load_run
from psmt_viz.runs import Run

CODEBASE = "PS-MT"
_METHOD, _ARCH = "psmt", "psmt-deeplabv3plus"
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
_SPLITS = {
    "voc": {662: "1_16", 1323: "1_8", 2646: "1_4", 5291: "1_2"},
    "voc-classic": {92: "92", 183: "183", 366: "366", 732: "732", 1464: "1464"},
    "cityscapes": {186: "1_16", 372: "1_8", 744: "1_4", 1488: "1_2"},
}
"""Preset -> labelled images -> split."""


def matches(file: Mapping[str, Any]) -> bool:
    """Tells a file of theirs, {"state_dict": ..., ...} or the state alone, by the student's two halves."""
    state = _state(file)
    return any(key.startswith(("encoder_s.", "decoder_s.")) for key in state)


def read(file: Mapping[str, Any], path: Path) -> Checkpoint:
    """Reads a checkpoint of either depth and any number of classes.

    Raises:
        UserError: if it holds other weights.
    """
    state = _state(file)
    backbone = resnet_of(state, "encoder_s.backbone.")
    classes = rows_of(state.get("decoder_s.upsample.classifier.weight"))
    if backbone is None or classes is None:
        some = ", ".join(list(state)[:3])
        fix = "give a checkpoint of PS-MT with ResNet-50 or ResNet-101"
        raise UserError(f"encoder_s and decoder_s of the authors' network in {path}", some, fix)
    config = ModelConfig(arch=_ARCH, backbone=backbone, pretrained=False)
    own = keys_of(config, classes)
    used = {key: place for key, place in places(own).items() if not key.startswith(_UNUSED)}
    weights = placed(state, used, own, unused=_UNUSED, whose=f"{CODEBASE}'s {backbone}", path=path)
    facts = _facts(file)
    preset, split = _split(classes, facts.get("labeled_examples"))
    return Checkpoint(
        codebase=CODEBASE,
        method=_METHOD,
        path=path,
        config=config,
        classes=classes,
        weights=weights,
        dropped=tuple(key for key in state if key.startswith(_UNUSED)),
        facts=facts,
        preset=preset,
        recipe="official-code",
        settings={"method": _METHOD, "split": split},
    )


def export(run: Run, path: Path, *, weights: str = "last") -> None:
    """Writes a run's networks as the authors' code saves and loads them, whole.

    What their encoders hold and never use is filled with the decoder's weights.

    Args:
        run: A run of student and teachers, `--arch psmt-deeplabv3plus`.
        path: The file to write.
        weights: `last`, `best` or `epoch-NNNN`.

    Raises:
        UserError: if the run has another network, or no two teachers or no such weights.
    """
    arch, method = run.config.model.arch, run.method
    if arch != _ARCH or {"student", *run.teachers} != set(_ROLES):
        raise UserError(f"a run of --arch {_ARCH} --method {_METHOD}", f"{arch}, {method}", "choose such a run")
    states = {role: network.state_dict() for role, network in load_run(run.folder, weights=weights).by_role().items()}
    state = {key: states[role][ours] for key, (role, ours) in places(states["student"]).items()}
    told = {"epoch": len(run.metrics())} if run.measured else run.data_fingerprint
    saved = {name: told[name] for name in ("epoch", "monitor_best") if name in told}
    with atomic_write(path) as temporary:
        torch.save({"arch": _ARCH, "state_dict": state, **saved}, temporary)


def places(keys: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Returns their key -> role and our key, in the order of their files.

    Args:
        keys: Ours, of one network.
    """
    keys = list(keys)
    return {
        theirs.format(mark) + key.removeprefix(ours): (role, key)
        for role, mark in _ROLES.items()
        for theirs, ours in _MODULES.items()
        for key in keys
        if key.startswith(ours)
    }


def _state(file: Mapping[str, Any]) -> dict[str, Any]:
    return state_of(file.get("state_dict", file))


def _facts(file: Mapping[str, Any]) -> dict[str, int | float]:
    labeled = getattr(file.get("args"), "labeled_examples", None)
    return numbers({"epoch": file.get("epoch"), "monitor_best": file.get("monitor_best"), "labeled_examples": labeled})


def _split(classes: int, labeled: float | None) -> tuple[str, str]:
    """Returns preset and split of a training with so many classes and labelled images."""
    preset = "cityscapes" if classes == 19 else "voc"
    if labeled in _SPLITS["voc-classic"] and preset == "voc":
        preset = "voc-classic"
    return preset, next((split for count, split in _SPLITS[preset].items() if count == labeled), "unknown")
