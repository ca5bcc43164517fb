"""Checkpoints in the layout of the PS-MT authors, made from nothing."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCKS = {"resnet50s": (3, 4, 6, 3), "resnet101s": (3, 4, 23, 3)}

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def conv(name: str, outputs: int, inputs: int, kernel: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)


def norm(name: str, channels: int) -> Shapes:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def resnet(name: str, blocks: tuple[int, ...]) -> Shapes:
    yield from conv(f"{name}.conv1.0", 64, 3, 3)
    yield from norm(f"{name}.conv1.1", 64)
    yield from conv(f"{name}.conv1.3", 64, 64, 3)
    yield from norm(f"{name}.conv1.4", 64)
    yield from conv(f"{name}.conv1.6", 128, 64, 3)
    yield from norm(f"{name}.bn1", 128)
    inputs = 128
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for index in range(count):
            block = f"{name}.layer{stage + 1}.{index}"
            for number, (outs, ins, kernel) in enumerate(
                ((width, inputs, 1), (width, width, 3), (4 * width, width, 1)), start=1
            ):
                yield from conv(f"{block}.conv{number}", outs, ins, kernel)
                yield from norm(f"{block}.bn{number}", outs)
            if index == 0:
                yield from conv(f"{block}.downsample.0", 4 * width, inputs, 1)
                yield from norm(f"{block}.downsample.1", 4 * width)
            inputs = 4 * width


def _head(name: str) -> Shapes:
    for index, kernel in enumerate((1, 3, 3, 3)):
        yield from conv(f"{name}.aspp.map_convs.{index}", 256, 2048, kernel)
    yield from norm(f"{name}.aspp.map_bn", 1024)
    yield from conv(f"{name}.aspp.global_pooling_conv", 256, 2048, 1)
    yield from norm(f"{name}.aspp.global_pooling_bn", 256)
    yield from conv(f"{name}.aspp.red_conv", 256, 1024, 1)
    yield from conv(f"{name}.aspp.pool_red_conv", 256, 256, 1)
    yield from norm(f"{name}.aspp.red_bn", 256)
    yield from conv(f"{name}.reduce.0", 48, 256, 1)
    yield from norm(f"{name}.reduce.1", 48)
    yield from _last_conv(name)


def _last_conv(name: str) -> Shapes:
    yield from conv(f"{name}.last_conv.0", 256, 304, 3)
    yield from norm(f"{name}.last_conv.1", 256)
    yield from conv(f"{name}.last_conv.3", 256, 256, 3)
    yield from norm(f"{name}.last_conv.4", 256)


def shapes(backbone: str = "resnet50s", classes: int = 21) -> dict[str, tuple[int, ...]]:
    """Every key of a checkpoint and its shape, in order."""
    found: dict[str, tuple[int, ...]] = {}
    for mark in ("1", "2", "_s"):
        found |= resnet(f"encoder{mark}.backbone", BLOCKS[backbone])
        found |= _head(f"encoder{mark}.head")
        found |= {f"decoder{mark}.upsample.classifier.weight": (classes, 256, 1, 1)}
        found |= {f"decoder{mark}.upsample.classifier.bias": (classes,)}
        found |= _last_conv(f"decoder{mark}.upsample")
    return found


def golden_state(base: int) -> dict[str, Tensor]:
    """A state filled by the rule of golden_psmt_deeplabv3plus.json."""
    return filled(shapes(), base)


def filled(shapes: Mapping[str, tuple[int, ...]], base: int) -> dict[str, Tensor]:
    """A state whose every tensor is drawn from the seed of its place."""
    state = {}
    for index, (key, shape) in enumerate(shapes.items()):
        drawn = torch.randn(shape, generator=torch.Generator().manual_seed(base + index))
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
        elif len(shape) == 4:
            state[key] = drawn * (2 / prod(shape[1:])) ** 0.5
        elif key.endswith("running_var"):
            state[key] = 1 + 0.5 * drawn.abs()
        elif key.endswith("weight") and not key.endswith("running_mean"):
            state[key] = 1 + 0.1 * drawn
        else:
            state[key] = 0.1 * drawn
    return state


def light_state(backbone: str = "resnet50s", classes: int = 21) -> dict[str, Tensor]:
    """A state whose every tensor is one number, its own; on disk it takes as little room as these."""
    return constant(shapes(backbone, classes))


def constant(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A state whose every tensor is one number, its own; on disk it takes as little room as these."""
    state = {}
    for index, (key, shape) in enumerate(shapes.items()):
        number = 1 + index * 1e-4
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(index)
        else:
            state[key] = torch.tensor(number / prod(shape[1:])).expand(shape)
    return state


def save(path: Path, state: Mapping[str, Any], **facts: Any) -> Path:
    """Saves a state as the authors' code does, score and command line included."""
    told = {"arch": "DistributedDataParallel", "epoch": 80, "monitor_best": np.round(0.75691, 4)}
    arguments = {"args": argparse.Namespace(labeled_examples=1323, backbone=50, ddp=True, semi_p_th=0.6)}
    torch.save({**told, "state_dict": dict(state), **arguments, **facts}, path)
    return path
