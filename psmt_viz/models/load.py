"""Networks with their weights: of a run folder, or of a user's own module."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models.adapted import Adapted
from psmt_viz.models.adapters import unwrapped
from psmt_viz.models.build import build_networks
from psmt_viz.models.fitted import FixedSize, OneChannel
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.network import Network
from psmt_viz.models.networks import Networks
from psmt_viz.models.split_at import check, split_at
from psmt_viz.models.weights import load_weights
from psmt_viz.plugins import call_object, load_object
from psmt_viz.roles import STUDENT
from psmt_viz.runs import Run

_SIDES = (64, 224, 256, 384, 512, 518, 640)
"""Of the image on which a foreign network is tried; those after the first are such as networks of one size take."""


def load_run(path: Path | str | None = None, *, weights: str = "last", device: str = "cpu") -> Networks:
    """Loads the networks of a run, in eval mode.

    Args:
        path: A run folder. Default: the run that is shipped with the project.
        weights: `last`, `best` on the validation images, or `epoch-NNNN` where they were kept.
        device: Where the networks go.

    Raises:
        UserError: if the folder is not a run, has no such weights, or they are not finite.
    """
    run = Run.open(Path(path) if path is not None else None)
    config = replace(run.config.model, pretrained=False)  # the run's own weights follow
    networks = build_networks(config, run.classes, teachers=run.teachers)
    load_weights(networks, run.weights(weights))
    _require_finite(networks, f"{weights} of {run.folder}")
    return networks.to(device).eval()


Prepare = Callable[[nn.Module], tuple[nn.Module, ...]]
"""Puts weights into a network; may add teachers."""


def load_model(
    name: str, classes: Sequence[str], *, cut: str | None = None, prepare: Prepare | None = None
) -> Networks:
    """Loads the user's own networks, in eval mode, after they mapped one image to logits.

    A network with one logit is taken as one for two classes, and one that takes images of a single size gets them
    resized.

    Args:
        name: `module:name` of a network, or of a function without arguments that returns one, or a tuple of a student
            and its teachers, or `Networks`; the working directory is searched after everything else.
        classes: Class names of the data in the order of their ids.
        cut: The module after which each network is cut (see `split_at`); default: where `adapt` knows it.
        prepare: What gives a single network its weights.

    Raises:
        UserError: if the name cannot be found or is no such thing, a weight is not finite, the networks do not fit
            together, or their logits have another number of classes.
    """
    flag = f"--model {name}"
    made = load_object(name, flag="--model", example="my_models:make")
    if not isinstance(made, nn.Module):
        made = _called(made, name)
    if prepare is not None:
        if not isinstance(made, nn.Module) or isinstance(made, Networks):
            raise UserError(
                f"{flag} a single network with --checkpoint", "several", "load their weights in your module"
            )
        made = prepare(unwrapped(made))
    networks = _networks(made, classes, flag, cut).eval()
    _require_finite(networks, flag)
    return _tried(networks, flag).eval()


def _require_finite(networks: Networks, whose: str) -> None:
    for key, values in networks.state_dict().items():
        if isinstance(values, Tensor) and not torch.isfinite(values).all():
            raise UserError(f"finite weights in {whose}", f"NaN or infinity in {key}", "give those of a good epoch")


def _networks(made: Any, classes: Sequence[str], flag: str, cut: str | None) -> Networks:
    if isinstance(made, Networks):
        if cut is not None:
            raise UserError("--split-at with networks that are not cut yet", "Networks", "leave --split-at out")
        return Networks(made.student, dict(made.teachers.items()), classes=classes)
    networks = made if isinstance(made, tuple) else (made,)
    if not networks or not all(isinstance(network, nn.Module) for network in networks):
        got = f"({', '.join(type(each).__name__ for each in made)})" if isinstance(made, tuple) else type(made).__name__
        fix = "return networks of class torch.nn.Module, with their weights"
        raise UserError(f"{flag} to return a network, (student, teacher, ...) or Networks", got, fix)
    if cut is not None:
        networks = tuple(split_at(unwrapped(network), cut) for network in networks)
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
    return call_object(make, name, flag="--model", kind="a network")


@torch.no_grad()
def _tried(networks: Networks, flag: str) -> Networks:
    """Returns networks as they are used, after one image has gone through them."""
    networks, logits = _fitting(networks, flag)
    count = len(networks.classes)
    if count == 2 and all(values.shape[1] == 1 for values in logits.values()):
        return _each(networks, OneChannel)
    for role, values in logits.items():
        if values.shape[1] != count:
            fix = "give the data that it was trained for"
            if values.shape[1] == 1:
                fix = "one logit, that of a sigmoid, serves for two classes"
            expected = f"{flag} with logits of {count} classes ({', '.join(networks.classes)})"
            raise UserError(expected, f"{values.shape[1]} of the {role}", fix)
    return networks


def _fitting(networks: Networks, flag: str) -> tuple[Networks, dict[str, Tensor]]:
    """Returns networks that take an image of any size, and their logits."""
    first: Exception | None = None
    for side in _SIDES:
        fitted = networks if side == _SIDES[0] else _each(networks, partial(FixedSize, side=side))
        try:
            _check_cuts(networks, side)
            return fitted, _logits(fitted)
        except UserError as error:
            raise UserError(f"{flag} with {error.expected}", error.got, error.fix) from error
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            first = first or error
    assert first is not None
    reason = f"{type(first).__name__}: {(str(first) or '-').splitlines()[0]}"
    fix = "try its encode and decode(z, size) on zeros (1, 3, 64, 64); teachers decode the student's z"
    raise UserError(f"{flag} to map a float32 image to logits", reason, fix) from first


def _check_cuts(networks: Networks, side: int) -> None:
    for network in networks.by_role().values():
        if isinstance(network, Adapted):
            check(network, side=side)


def _each(networks: Networks, fit: Callable[[Network], Network]) -> Networks:
    roles = {role: fit(network) for role, network in networks.by_role().items()}
    return Networks(roles.pop(STUDENT), roles, classes=networks.classes)


def _logits(networks: Networks) -> dict[str, Tensor]:
    device = next((values.device for values in networks.state_dict().values()), torch.device("cpu"))
    size = (_SIDES[0], _SIDES[0])
    z = encode_whole(networks.eval(), torch.zeros(1, 3, *size, device=device))
    return {
        role: decode_whole(network.decode, z, size, multiple=networks.multiple)
        for role, network in networks.by_role().items()
    }
