"""The supervised baseline: network, steps, labelled images and schedule of the others, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from psmt_viz.methods.psmt import PSMTConfig
from psmt_viz.methods.settings import Method


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig(Method):
    """The other methods' network, steps, labelled batches and schedule, without unlabelled images."""

    title: ClassVar = "supervised"
    columns: ClassVar = PSMTConfig.columns
    """PS-MT's, of which it leaves empty what it has not, so that tables of the two can be laid side by side."""

    method: Literal["supervised"] = "supervised"
