"""A search on GPUs that round float32 to TensorFloat-32 in convolutions, played by rounding on the CPU."""

import pytest
import torch
from torch.nn import functional as F

from psmt_viz.perturb import adversarial, adversarial_perturbation, exact_cosine
from tests.perturb.small import features, small_decoder


def rounded(values):
    """Keeps ten bits after the point, to nearest."""
    return ((values.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


class Convolution(torch.autograd.Function):
    """A convolution whose factors are rounded, forwards and backwards."""

    @staticmethod
    def forward(ctx, values, weight, bias, padding):
        ctx.save_for_backward(weight)
        ctx.shape, ctx.padding = values.shape, padding
        return F.conv2d(rounded(values), rounded(weight), bias, padding=padding)

    @staticmethod
    def backward(ctx, gradient):
        (weight,) = ctx.saved_tensors
        back = torch.nn.grad.conv2d_input(ctx.shape, rounded(weight), rounded(gradient), padding=ctx.padding)
        return back, None, None, None


def predict(z):
    first, _, last = small_decoder()
    hidden = Convolution.apply(z, first.weight.detach(), first.bias.detach(), 1).tanh()
    return Convolution.apply(hidden, last.weight.detach(), last.bias.detach(), 0)


def test_the_step_is_large_enough_to_keep_the_direction(monkeypatch):
    reference, z = small_decoder(torch.float64), features()
    cosines = {}
    for known in (False, True):
        monkeypatch.setattr(adversarial, "_has_tf32", lambda _, known=known: known)
        found = adversarial_perturbation(predict, z, generator=torch.Generator().manual_seed(7))
        cosines[known] = exact_cosine(reference, z.double(), found)
    assert (cosines[True] > 0.99).all()
    assert (cosines[False] < 0.9).all()


@pytest.mark.parametrize(
    ("device", "precision", "capability", "rounds"),
    [
        ("cuda", "tf32", (9, 0), True),
        ("cuda", "tf32", (8, 0), True),
        ("cuda", "tf32", (7, 5), False),
        ("cuda", "ieee", (9, 0), False),
        ("cpu", "tf32", (9, 0), False),
    ],
)
def test_who_rounds(monkeypatch, device, precision, capability, rounds):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    before = torch.backends.cudnn.conv.fp32_precision
    torch.backends.cudnn.conv.fp32_precision = precision
    try:
        assert adversarial._has_tf32(torch.device(device)) == rounds
    finally:
        torch.backends.cudnn.conv.fp32_precision = before
