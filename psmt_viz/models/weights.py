"""The weights of a student and its teachers as one safetensors file."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write
from psmt_viz.models.networks import Networks


def save_weights(networks: Networks, path: Path) -> None:
    """Writes the weights of all networks as one file, whole; keys start with the role (`<role>.<key>`)."""
    weights = {
        f"{role}.{key}": value.detach().cpu().contiguous()
        for role, network in networks.by_role().items()
        for key, value in network.state_dict().items()
    }
    with atomic_write(path) as temporary:
        save_file(weights, temporary)


def load_weights(networks: Networks, path: Path) -> None:
    """Reads what `save_weights` wrote.

    Raises:
        UserError: if the file is missing, cut short, or holds another network's weights.
    """
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise UserError(f"a weights file {path}", "nothing there", "train the run, or choose another") from None
    except SafetensorError as error:
        raise UserError(f"whole weights in {path}", str(error), "copy the file again or train again") from None
    for role, network in networks.by_role().items():
        own = {k.removeprefix(f"{role}."): v for k, v in weights.items() if k.startswith(f"{role}.")}
        try:
            network.load_state_dict(own)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{role}'s weights in {path}", reason, "give the run that they belong to") from None
