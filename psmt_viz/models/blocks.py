"""Blocks that several networks are made of."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def conv_norm_relu(inputs: int, outputs: int, kernel: int, *, dilation: int = 1) -> nn.Sequential:
    """Returns a convolution that keeps the size, without bias, with normalisation and rectifier."""
    padding = kernel // 2 * dilation
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class PooledBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of globally pooled features (B, C, 1, 1), which takes one image as well.

    One image has one value per channel; its own statistics would make each of them 0, so the running ones take their
    place and stay as they are.
    """

    def forward(self, pooled: Tensor) -> Tensor:
        """Maps (B, C, 1, 1) to the same shape."""
        if self.training and pooled.numel() == pooled.shape[1]:
            mean, var = self.running_mean, self.running_var
            return F.batch_norm(pooled, mean, var, self.weight, self.bias, training=False, eps=self.eps)
        return super().forward(pooled)
