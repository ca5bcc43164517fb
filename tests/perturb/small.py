"""Networks and features small enough for explicit Jacobians."""

from __future__ import annotations

import torch
from torch import nn


def small_decoder(dtype: torch.dtype = torch.float32, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 4, 1)).to(dtype)


def features(seed: int = 1, batch: int = 3, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(batch, 6, 5, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def explicit_hessian_product(predict, z, direction):
    """J^T (diag(p) - p p^T) J d from the full Jacobian, image by image and pixel by pixel."""
    products = []
    for image, step in zip(z, direction, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: predict(v[None])[0], image)
        p = predict(image[None])[0].softmax(dim=0)
        jacobian = jacobian.reshape(*p.shape, -1)
        total = torch.zeros(image.numel(), dtype=z.dtype)
        for row in range(p.shape[1]):
            for col in range(p.shape[2]):
                local, probability = jacobian[:, row, col], p[:, row, col]
                curvature = torch.diag(probability) - torch.outer(probability, probability)
                total += local.T @ curvature @ local @ step.flatten()
        products.append(total.reshape(image.shape))
    return torch.stack(products)
