"""What is read from a checkpoint of another codebase, and what a layout has to say to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from psmt_viz.config import ModelConfig
from psmt_viz.models.build import build_networks
from psmt_viz.models.networks import Networks
from psmt_viz.roles import STUDENT


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint of another codebase, with its keys translated."""

    codebase: str
    """Name of the codebase, such as `PS-MT`."""
    method: str
    """Name of the method of training, as tables show it."""
    path: Path
    config: ModelConfig
    """The network that it belongs to, as read from its shapes."""
    classes: int
    weights: Mapping[str, Mapping[str, Tensor]]
    """Role -> a network's state: `student`, and the teachers by their names, in their order."""
    dropped: tuple[str, ...] = ()
    """Keys that nothing uses."""
    facts: Mapping[str, int | float] = field(default_factory=dict)
    """What it tells of its training, under its own names: epoch, best score, ..."""
    preset: str
    """The preset whose settings are nearest to its training's."""
    recipe: str = "supplement"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of its training, by their flat names."""

    @property
    def teachers(self) -> tuple[str, ...]:
        """The teachers' names."""
        return tuple(role for role in self.weights if role != STUDENT)

    def networks(self, names: Sequence[str]) -> Networks:
        """Returns the networks, in eval mode.

        Args:
            names: Class names in the order of their ids.
        """
        networks = build_networks(self.config, names, teachers=self.teachers)
        for role, network in networks.by_role().items():
            # Other codebases' files lack the input scale; it is ImageNet's there too.
            network.load_state_dict({**network.state_dict(), **self.weights[role]})
        return networks.eval()


class Layout(Protocol):
    """How a codebase lays its checkpoints out: what a file in `psmt_viz.checkpoints.layouts` holds."""

    CODEBASE: str
    """Its name."""

    def matches(self, file: Mapping[str, Any]) -> bool:
        """Tells by its keys whether a file is the codebase's.

        Args:
            file: What `torch.save` was given.
        """
        ...

    def read(self, file: Mapping[str, Any], path: Path) -> Checkpoint:
        """Reads a file that `matches`.

        Raises:
            UserError: if weights are missing, unknown or of another shape.
        """
        ...
