"""Networks with their weights: of a run folder, or of a user's own module."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.build import build_networks
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.networks import Networks
from psmt_viz.models.weights import load_weights
from psmt_viz.plugins import load_object
from psmt_viz.runs import Run

_SIDE = 64
"""Of the image on which a foreign network is tried."""


def load_run(path: Path | str | None = None, *, weights: str = "last", device: str = "cpu") -> Networks:
    """Loads the networks of a run, in eval mode.

    Args:
        path: A run folder. Default: the run that is shipped with the project.
        weights: `last`, `best` on the validation images, or `epoch-NNNN` where they were kept.
        device: Where the networks go.

    Raises:
        UserError: if the folder is not a run or has no such weights.
    """
    run = Run.open(Path(path) if path is not None else None)
    config = replace(run.config.model, pretrained=False)  # the run's own weights follow
    networks = build_networks(config, run.classes, teachers=run.teachers)
    load_weights(networks, run.weights(weights))
    return networks.to(device).eval()


def load_model(name: str, classes: Sequence[str]) -> Networks:
    """Loads the user's own networks, in eval mode, after they mapped one empty image to logits.

    Args:
        name: `module:name` of a network, or of a function without arguments that returns one, or a tuple of a student
            and its teachers, or `Networks`; the working directory is searched after everything else.
        classes: Class names of the data in the order of their ids.

    Raises:
        UserError: if the name cannot be found or is no such thing, a weight is not finite, the networks do not fit
            together, or their logits have another number of classes.
    """
    flag = f"--model {name}"
    made = load_object(name, flag="--model", example="my_models:make")
    if not isinstance(made, nn.Module):
        made = _called(made, name)
    networks = _networks(made, classes, flag).eval()
    for key, values in networks.state_dict().items():
        if isinstance(values, Tensor) and not torch.isfinite(values).all():
            raise UserError(f"finite weights in {flag}", f"NaN or infinity in {key}", "give those of a good epoch")
    _try(networks, flag)
    return networks


def _networks(made: Any, classes: Sequence[str], flag: str) -> Networks:
    if isinstance(made, Networks):
        return Networks(made.student, dict(made.teachers.items()), classes=classes)
    networks = made if isinstance(made, tuple) else (made,)
    if not networks or not all(isinstance(network, nn.Module) for network in networks):
        got = f"({', '.join(type(each).__name__ for each in made)})" if isinstance(made, tuple) else type(made).__name__
        fix = "return networks of class torch.nn.Module, with their weights"
        raise UserError(f"{flag} to return a network, (student, teacher, ...) or Networks", got, fix)
    return Networks(networks[0], networks[1:], classes=classes)


def _called(make: Any, name: str) -> Any:
    what = name.partition(":")[2]
    fix = f"make it callable as {what}()"
    if not callable(make):
        raise UserError(f"--model {name} a network or a function that makes one", type(make).__name__, fix)
    try:
        inspect.signature(make).bind()
    except TypeError as error:
        raise UserError(f"--model {name} to be called without arguments", str(error), fix) from None
    except ValueError:  # written in C, without a signature
        pass
    try:
        return make()
    except Exception as error:
        reason = f"{type(error).__name__}: {(str(error) or '-').splitlines()[0]}"
        fix = f"call {what}() in Python to see where"
        raise UserError(f"--model {name} to return a network", reason, fix) from error


@torch.no_grad()
def _try(networks: Networks, flag: str) -> None:
    device = next((values.device for values in networks.state_dict().values()), torch.device("cpu"))
    size = (_SIDE, _SIDE)
    try:
        z = encode_whole(networks, torch.zeros(1, 3, *size, device=device))
        logits = {
            role: decode_whole(network.decode, z, size, multiple=networks.multiple)
            for role, network in networks.by_role().items()
        }
    except UserError as error:
        raise UserError(f"{flag} with {error.expected}", error.got, error.fix) from error
    except (RuntimeError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {(str(error) or '-').splitlines()[0]}"
        fix = "try its encode and decode(z, size) on zeros (1, 3, 64, 64); teachers decode the student's z"
        raise UserError(f"{flag} to map a float32 image to logits", reason, fix) from error
    for role, values in logits.items():
        if values.shape[1] != len(networks.classes):
            fix = "give the data that it was trained for"
            expected = f"{flag} with logits of {len(networks.classes)} classes ({', '.join(networks.classes)})"
            raise UserError(expected, f"{values.shape[1]} of the {role}", fix)
