"""A network that learns: its forward, backward and optimiser steps, on all devices together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from psmt_viz.models.network import Network
from psmt_viz.train.optim import set_lr
from psmt_viz.train.statistics import SharedStatistics

Perturb = Callable[[Tensor], Tensor]
"""Maps z to the noise to add to it, of the same shape."""


class Learner:
    """A network with its optimiser.

    A step is

        learner.start_step(lr, micro_batches=len(batch))
        for images in batch:
            with learner.micro_batch():
                learner.backward(loss_of(learner(images)))
        learner.step()

    Args:
        fabric: The processes that train together.
        network: The network.
        optimizer: Of its parameters.
        statistics: Makes the shared BatchNorm statistics of a network over some micro-batches here.
    """

    def __init__(
        self,
        fabric: Fabric,
        network: Network,
        optimizer: torch.optim.Optimizer,
        *,
        statistics: Callable[[nn.Module, int], SharedStatistics],
    ) -> None:
        self.network, self.optimizer = network, optimizer
        self._fabric, self._make_statistics = fabric, statistics
        self._micro_batches = self._forwards_left = 0
        self._unsynced = ExitStack()
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*broadcast_buffers"
            )  # its new name is newer than our oldest torch
            self._module, self._wrapped = fabric.setup(_Forward(network), optimizer)

    def start_step(self, lr: float, *, micro_batches: int, passes: int = 1) -> None:
        """Begins a step: training mode, no gradients.

        Args:
            lr: The step's learning rate.
            micro_batches: How many there are in this process.
            passes: Forward and backward passes of each; each has batch statistics of its own.
        """
        self.network.train()
        set_lr(self.optimizer, lr)
        self.optimizer.zero_grad(set_to_none=True)
        self._statistics = self._make_statistics(self.network, micro_batches)
        self._gradients = _Gradients(self.network)
        self._micro_batches, self._forwards_left = micro_batches, micro_batches * passes

    @contextmanager
    def micro_batch(self) -> Iterator[None]:
        """Surrounds the passes of one micro-batch."""
        with self._statistics.micro_batch():
            yield
        # In one process each micro-batch is summed up alone first, as where it has a process of its own, so that both
        # are bit-identical.
        if self._fabric.world_size == 1 and self._micro_batches > 1:
            self._gradients.put_aside()

    def __call__(self, images: Tensor, perturb: Perturb | None = None) -> Tensor:
        """Maps images (B, 3, H, W) in [0, 1] to logits (B, K, H, W), through z + perturb(z) where that is given."""
        self._forwards_left -= 1
        # Processes exchange gradients in a step's last backward pass alone.
        self._unsynced.enter_context(self._fabric.no_backward_sync(self._module, enabled=self._forwards_left > 0))
        return self._module(images, perturb)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss of the last forward pass: its share of a sum over all processes."""
        # The processes' gradients are averaged.
        self._fabric.backward(loss * self._fabric.world_size)
        self._unsynced.close()

    def step(self) -> None:
        """Lets the optimiser take the step, and moves the running statistics."""
        self._gradients.put_back()
        self._wrapped.step()
        self._statistics.finish()


class _Gradients:
    """The sum of the gradients of micro-batches that are done, beside those that autograd adds to."""

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


class _Forward(nn.Module):
    """From images to logits as one `forward`, which is all that engines for many devices can wrap."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, perturb: Perturb | None) -> Tensor:
        z = self.network.encode(images)
        if perturb is not None:
            z = z + perturb(z)
        return self.network.decode(z, images.shape[-2:])
