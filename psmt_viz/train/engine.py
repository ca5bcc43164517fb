"""Where a run computes: devices, processes and precision, on Lightning Fabric, of which only `Learner` knows too."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, TypeVar, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn

from psmt_viz.config import Precision, SystemConfig
from psmt_viz.errors import UserError
from psmt_viz.models.network import Network
from psmt_viz.train.learner import Learner
from psmt_viz.train.statistics import SharedStatistics

T = TypeVar("T")

_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed", "fp64": "32-true"}
"""Fabric's own `64-true` hands out float32 logits; with `32-true` it leaves float64 networks as they are."""


class Engine:
    """The processes that train together, one on each device.

    Args:
        device: A torch device: `cpu`, `cuda`, `cuda:1`, `mps`.
        devices: How many of its kind, or which GPUs; by default as many as torchrun or SLURM started processes for on
            this machine, else the one named.
        nodes: Machines; by default as many as torchrun or SLURM use, else 1.
        system: Precision and BatchNorm.
        precision: In place of the system's; `fp64`, which is no setting of a run, is for comparisons with a reference.

    Raises:
        UserError: if there are not so many devices, or the device cannot compute in the precision.
    """

    def __init__(
        self,
        device: str = "cpu",
        *,
        devices: int | Sequence[int] | None = None,
        nodes: int | None = None,
        system: SystemConfig | None = None,
        precision: Precision | Literal["fp64"] | None = None,
    ) -> None:
        self._system = system or SystemConfig()
        precision = precision or self._system.precision
        self.dtype = torch.float64 if precision == "fp64" else torch.float32
        """Of images, losses and weights."""
        kind, _, index = device.partition(":")
        started = _started()
        if devices is None:
            devices = started[0] if started else [int(index)] if index else 1
        if nodes is None:
            nodes = started[1] if started else 1
        count = devices if isinstance(devices, int) else len(devices)
        _check(kind, devices, nodes, precision)
        self.world_size: int = count * nodes
        """Processes in all."""
        self.here = count
        """Processes on this machine."""
        # `SharedStatistics` keeps BatchNorm's running statistics alike, on every kind of device.
        strategy = DDPStrategy(broadcast_buffers=False) if self.world_size > 1 else "auto"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on other accelerators than the one asked for
            self._fabric = Fabric(
                accelerator=kind,
                devices=devices if isinstance(devices, int) else list(devices),
                num_nodes=nodes,
                precision=_PRECISION[precision],  # type: ignore[arg-type]
                strategy=strategy,
            )
        self._launched = False

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    @property
    def rank(self) -> int:
        """The number of this process among all."""
        return self._fabric.global_rank if self._launched else cast(Any, rank_zero_only).rank or 0

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self._fabric.device

    def launch(self) -> None:
        """Starts the other processes, unless torchrun or SLURM did; each runs the program from its beginning."""
        if not self._launched:
            self._fabric.launch()
            self._launched = True

    def broadcast(self, value: T) -> T:
        """Returns the main process's value."""
        return value if self.world_size == 1 else self._fabric.broadcast(value)

    def sum(self, values: Tensor) -> Tensor:
        """Returns the sum over all processes."""
        return values if self.world_size == 1 else cast(Tensor, self._fabric.all_reduce(values, reduce_op="sum"))

    def any(self, flag: bool) -> bool:
        """Returns whether the flag is set in some process; all must ask."""
        return flag if self.world_size == 1 else bool(self.sum(torch.tensor(int(flag), device=self.device)).item())

    def barrier(self) -> None:
        """Waits until all processes are here."""
        self._fabric.barrier()

    def close(self) -> None:
        """Ends the connection between the processes, once all are here."""
        if self.world_size > 1:
            self.barrier()
            torch.distributed.destroy_process_group()

    def autocast(self) -> AbstractContextManager[None]:
        """Returns the context in which networks compute in the run's precision."""
        return cast(AbstractContextManager[None], self._fabric.autocast())

    def convert(self, network: Network) -> None:
        """Gives a network the run's numbers and, on several GPUs, BatchNorm layers that share their statistics."""
        network.to(self.dtype)
        if self.device.type == "cuda" and self.world_size > 1 and self._system.sync_batchnorm:
            nn.SyncBatchNorm.convert_sync_batchnorm(network)

    def learner(self, network: Network, optimizer: torch.optim.Optimizer) -> Learner:
        """Returns a converted network with its optimiser, ready to learn on all devices together."""
        return Learner(self._fabric, network, optimizer, statistics=self.shared_statistics)

    def shared_statistics(self, network: nn.Module, micro_batches: int) -> SharedStatistics:
        """Returns the running statistics of a network over a step of some micro-batches in this process."""
        return SharedStatistics(network, total=self.sum, micro_batches=micro_batches * self.world_size)

    def grad_scaler_state(self) -> dict[str, float | int]:
        """Returns the state of fp16's gradient scaler; empty in other precisions."""
        return self._fabric.strategy.precision.state_dict()

    def load_grad_scaler_state(self, state: dict[str, float | int]) -> None:
        """Restores what `grad_scaler_state` gave."""
        self._fabric.strategy.precision.load_state_dict(state)


def _started() -> tuple[int, int] | None:
    """How many processes torchrun or SLURM started on each machine, and on how many machines, if they did."""
    if TorchElasticEnvironment.detect():
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return here, int(os.environ["WORLD_SIZE"]) // here
    if SLURMEnvironment.detect():
        nodes = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // nodes, nodes
    return None


def _check(kind: str, devices: int | Sequence[int], nodes: int, precision: str) -> None:
    numbers = range(devices) if isinstance(devices, int) else devices
    if nodes < 1 or len(numbers) < 1 or len(set(numbers)) < len(numbers):
        got = f"--devices {devices}, --nodes {nodes}"
        raise UserError("at least one device, each named once, and one node", got, "raise them")
    there = torch.cuda.device_count() if kind == "cuda" else 1
    if kind == "cpu":
        if not isinstance(devices, int):
            raise UserError("a number of processes with --device cpu", f"{tuple(devices)}", "give --devices N")
    elif any(number not in range(there) for number in numbers):
        fix = "lower --devices, or use --device cpu to train in several processes there"
        raise UserError(f"--devices among the {there} of kind {kind}", f"{devices}", fix)
    if precision == "fp16" and kind != "cuda":
        raise UserError("--precision fp16 on a GPU (--device cuda)", f"--device {kind}", "choose bf16 or fp32")
