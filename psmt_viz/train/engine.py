"""Where a run computes: devices, processes and arithmetic, on Lightning Fabric; nothing else here knows of it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
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
from psmt_viz.train.optim import set_lr
from psmt_viz.train.statistics import SharedStatistics

T = TypeVar("T")
Perturb = Callable[[Tensor], Tensor]
"""Maps z to the noise to add to it, of the same shape."""

_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed", "fp64": "32-true"}
"""Fabric's own `64-true` hands out float32 logits; with `32-true` it leaves float64 networks as they are."""


class Engine:
    """The processes that train together, one on each device.

    Args:
        device: A torch device: `cpu`, `cuda`, `cuda:1`, `mps`.
        devices: How many of its kind, or which GPUs; left out, as many as torchrun or SLURM started processes for on
            this machine, else the one named.
        nodes: Machines; left out, as many as torchrun or SLURM use, else 1.
        system: Arithmetic and BatchNorm.
        precision: In place of the system's; `fp64`, which is no setting of a run, is for comparisons with a reference.

    Raises:
        UserError: if there are not so many devices, or the device cannot do the arithmetic.
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
        self.world: int = count * nodes
        """Processes in all."""
        # `SharedStatistics` keeps BatchNorm's running statistics alike, on every kind of device.
        strategy = DDPStrategy(broadcast_buffers=False) if self.world > 1 else "auto"
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
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
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
        """Returns the first process's value."""
        return value if self.world == 1 else self._fabric.broadcast(value)

    def sum(self, values: Tensor) -> Tensor:
        """Returns the sum over all processes."""
        return values if self.world == 1 else cast(Tensor, self._fabric.all_reduce(values, reduce_op="sum"))

    def any(self, flag: bool) -> bool:
        """Returns whether the flag is set in some process; all must ask."""
        return flag if self.world == 1 else bool(self.sum(torch.tensor(int(flag), device=self.device)).item())

    def wait(self) -> None:
        """Waits until all processes are here."""
        self._fabric.barrier()

    def close(self) -> None:
        """Ends the connection between the processes, once all are here."""
        if self.world > 1:
            self.wait()
            torch.distributed.destroy_process_group()

    def arithmetic(self) -> AbstractContextManager[None]:
        """Returns the context in which networks compute in the run's precision."""
        return cast(AbstractContextManager[None], self._fabric.autocast())

    def prepare(self, network: Network, optimizer: torch.optim.Optimizer) -> Learner:
        """Returns the network with its optimiser, ready to learn on all devices together."""
        network.to(self.dtype)
        if self.device.type == "cuda" and self.world > 1 and self._system.sync_batchnorm:
            nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return Learner(self, self._fabric, network, optimizer)

    def statistics(self, network: nn.Module, parts: int) -> SharedStatistics:
        """Returns the running statistics of a network over a step whose share here has some parts."""
        return SharedStatistics(network, total=self.sum, parts=parts * self.world)

    def scale(self) -> dict[str, float | int]:
        """Returns the state of fp16's loss scale; empty in other arithmetic."""
        return self._fabric.strategy.precision.state_dict()

    def load_scale(self, state: dict[str, float | int]) -> None:
        """Restores what `scale` gave."""
        self._fabric.strategy.precision.load_state_dict(state)


class Learner:
    """A network that learns: its forward pass and its descent, on all devices together."""

    def __init__(self, engine: Engine, fabric: Fabric, network: Network, optimizer: torch.optim.Optimizer) -> None:
        self.network, self.optimizer = network, optimizer
        self._engine, self._fabric = engine, fabric
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*broadcast_buffers"
            )  # its new name is newer than our oldest torch
            self._module, self._wrapped = fabric.setup(_Pass(network), optimizer)

    def __call__(self, images: Tensor, perturb: Perturb | None = None) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to logits (B, K, H, W), through z + perturb(z) where that is given."""
        return self._module(images, perturb)

    def descend(self, parts: Sequence[Sequence[Callable[[], Tensor]]], lr: float) -> None:
        """Takes one step down the sum of some losses, over all processes.

        Args:
            parts: Of each part of the batch, the losses of its passes through the network, in order; each pass has
                batch statistics of its own. A loss is computed when its turn comes; its graph is gone before the next.
            lr: The learning rate.
        """
        self.network.train()
        set_lr(self.optimizer, lr)
        self.optimizer.zero_grad(set_to_none=True)
        statistics = self._engine.statistics(self.network, len(parts))
        done = _Gradients(self.network)
        for losses in parts:
            with statistics.part():
                for loss in losses:
                    last = losses is parts[-1] and loss is losses[-1]
                    with self._fabric.no_backward_sync(self._module, enabled=not last):
                        # The engine averages gradients over processes; these losses are shares of a sum.
                        self._fabric.backward(loss() * self._engine.world)
            # In one process each part is summed up alone first, as where it has a process of its own: to the same bits.
            if self._engine.world == 1 and len(parts) > 1:
                done.put_aside()
        done.put_back()
        self._wrapped.step()
        statistics.settle()


class _Gradients:
    """The sum of the gradients of parts that are done, beside those that autograd adds to."""

    def __init__(self, network: nn.Module) -> None:
        self._parameters = list(network.parameters())
        self._sums: list[Tensor | None] = [None] * len(self._parameters)

    def put_aside(self) -> None:
        """Adds the parameters' gradients to the sum and takes them away."""
        for index, parameter in enumerate(self._parameters):
            if parameter.grad is not None:
                known = self._sums[index]
                self._sums[index] = parameter.grad if known is None else known.add_(parameter.grad)
                parameter.grad = None

    def put_back(self) -> None:
        """Makes the sum the parameters' gradients, where there is one."""
        for parameter, total in zip(self._parameters, self._sums, strict=True):
            if total is not None:
                parameter.grad = total


class _Pass(nn.Module):
    """From images to logits as one `forward`, which is all that engines for many devices can wrap."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, perturb: Perturb | None) -> Tensor:
        z = self.network.encode(images)
        if perturb is not None:
            z = z + perturb(z)
        return self.network.decode(z, images.shape[-2:])


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
