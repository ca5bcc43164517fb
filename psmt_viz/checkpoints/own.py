"""Weights of a file put into a network that the user gives."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from psmt_viz.checkpoints.reading import load_pickled
from psmt_viz.checkpoints.states import state_of
from psmt_viz.errors import UserError

_EMA = re.compile(r"(?:^|[._])(?:ema|average[d]?|shadow|teacher)(?:[._]|$)", re.IGNORECASE)
_PREFIXES = ("model.", "net.", "network.", "student.", "segmentor.")
"""What trainers put before the keys of the network that they hold."""


def with_weights(network: nn.Module, path: Path) -> tuple[tuple[nn.Module, ...], str]:
    """Puts the weights of a file into a network; where the file has averaged ones beside them, into a copy as teacher.

    Args:
        network: A network, whose weights are replaced.
        path: A file of safetensors, or of `torch.save`, of which nothing is run: a state, or a mapping with states in
            it. Prefixes of wrappers (`module.`, `_orig_mod.`, `model.`) are taken off.

    Returns:
        The network, and a teacher if there is one; and what was found, in words.

    Raises:
        UserError: if the file cannot be read, or no state in it is that of the network.
    """
    states = _states(_read(path))
    wanted = network.state_dict()
    fitting = {name: state for name, every in states.items() if (state := _fitted(every, wanted)) is not None}
    if not fitting:
        raise UserError(f"weights of {type(network).__name__} in {path}", _differences(states, wanted), _FIX)
    plain = [name for name in fitting if not _EMA.search(name)]
    averaged = [name for name in fitting if _EMA.search(name)]
    first = (plain or averaged)[0]
    made = [network]
    if plain and averaged:
        made.append(copy.deepcopy(network))
    for each, name in zip(made, (first, *averaged), strict=False):
        each.load_state_dict(fitting[name])
    words = [f"weights `{first or 'of the file'}`", *(f"teacher `{name}`" for name in averaged[:1] if plain)]
    return tuple(made), ", ".join(words)


_FIX = "give the checkpoint of this network, or make the network as it was trained"


def _read(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return load_pickled(path)
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"a checkpoint {path}", "nothing there", "check the path") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"a whole checkpoint {path}", str(error), "download it again, or give another") from None


def _states(file: Any, name: str = "") -> dict[str, dict[str, Any]]:
    """Returns name -> state of all states in a file."""
    if not isinstance(file, Mapping):
        return {}
    found = {}
    tensors = {str(key): value for key, value in file.items() if isinstance(value, Tensor)}
    if tensors:
        found[name] = state_of(tensors)
    for key, value in file.items():
        if isinstance(value, Mapping):
            found |= _states(value, f"{name}.{key}".strip("."))
    return found


def _fitted(state: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Returns a state with the network's keys if it has all of them with their shapes, else None."""
    for prefix in ("", *_PREFIXES):
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if all(key in own and own[key].shape == value.shape for key, value in wanted.items()):
            return {key: own[key] for key in wanted}
    return None


def _differences(states: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Tensor]) -> str:
    if not states:
        return "no tensors"
    name, state = max(states.items(), key=lambda each: len(each[1].keys() & wanted.keys()))
    where = f" in `{name}`" if name else ""
    if missing := [key for key in wanted if key not in state]:
        return f"no {', '.join(missing[:3])}{where}, but for example {next(iter(state))}"
    key = next(key for key, value in wanted.items() if state[key].shape != value.shape)
    return f"{key} of shape {tuple(state[key].shape)}{where}, not {tuple(wanted[key].shape)}"
