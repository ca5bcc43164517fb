"""Objectives, gradients and curvature against references that share no code with them."""

import math

import pytest
import torch
from torch.nn import functional as F

from psmt_viz.errors import UserError
from psmt_viz.perturb import curvature_product, kl_per_image
from psmt_viz.perturb.objectives import cross_entropy_objective, gradient, kl_objective, predicted
from tests.perturb.small import explicit_hessian_product, features, small_decoder


def test_curvature_product_equals_the_explicit_jacobian() -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    direction = features(seed=5, dtype=torch.float64)
    expected = explicit_hessian_product(predict, z, direction)
    torch.testing.assert_close(curvature_product(predict, z, direction), expected, rtol=1e-9, atol=1e-12)


def test_curvature_product_equals_double_differentiation_of_kl() -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    direction = features(seed=5, dtype=torch.float64)
    clean = F.log_softmax(predict(z), dim=1).detach()
    r = torch.zeros_like(z, requires_grad=True)
    kl = (clean.exp() * (clean - F.log_softmax(predict(z + r), dim=1))).sum()
    (gradient,) = torch.autograd.grad(kl, r, create_graph=True)
    (expected,) = torch.autograd.grad((gradient * direction).sum(), r)
    torch.testing.assert_close(curvature_product(predict, z, direction), expected, rtol=1e-9, atol=1e-12)


def test_kl_equals_the_definition() -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    delta = 0.3 * features(seed=9, dtype=torch.float64)
    with torch.no_grad():
        p, q = predict(z).softmax(1), predict(z + delta).softmax(1)
    expected = [
        sum(
            float(p[b, k, i, j]) * math.log(float(p[b, k, i, j]) / float(q[b, k, i, j]))
            for k in range(4)
            for i in range(5)
            for j in range(7)
        )
        for b in range(3)
    ]
    torch.testing.assert_close(kl_per_image(predict, z, delta), torch.tensor(expected, dtype=torch.float64))


def test_kl_objective_and_its_gradient_equal_the_definition() -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    offset = 0.3 * features(seed=9, dtype=torch.float64)
    values, found = gradient(kl_objective(predict, z), offset)
    torch.testing.assert_close(values, kl_per_image(predict, z, offset))
    # By central differences along a few directions.
    for seed in (1, 2, 3):
        direction = features(seed=seed, dtype=torch.float64)
        ahead, behind = (kl_per_image(predict, z, offset + sign * 1e-5 * direction) for sign in (1, -1))
        slope = (found * direction).flatten(1).sum(1)
        torch.testing.assert_close((ahead - behind) / 2e-5, slope, rtol=1e-6, atol=1e-8)


def test_cross_entropy_counts_labelled_pixels_alone_and_its_gradient_is_p_minus_truth() -> None:
    z = features(dtype=torch.float64)[:, :4]  # the identity predicts: z are the logits
    labels = torch.randint(0, 4, (3, 5, 7), generator=torch.Generator().manual_seed(1))
    labels[:, :2] = 255
    values, found = gradient(cross_entropy_objective(lambda v: v, z, labels), torch.zeros_like(z))
    p = z.softmax(1)
    expected = torch.zeros(3, dtype=torch.float64)
    slope = torch.zeros_like(z)
    for b in range(3):
        for i in range(2, 5):
            for j in range(7):
                expected[b] -= math.log(float(p[b, labels[b, i, j], i, j]))
                slope[b, :, i, j] = p[b, :, i, j]
                slope[b, labels[b, i, j], i, j] -= 1
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(found, slope)


def test_curvature_is_computed_in_full_precision_under_autocast() -> None:
    predict, z, direction = small_decoder(), features(), features(seed=5)
    with torch.autocast("cpu", torch.bfloat16):
        assert predict(z).dtype == torch.bfloat16
        inside = curvature_product(predict, z, direction)
        rounded = curvature_product(predict, z.bfloat16(), direction.bfloat16())  # as an encoder inside would give
    assert torch.equal(inside, curvature_product(predict, z, direction))
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, curvature_product(predict, z.bfloat16().float(), direction.bfloat16().float()))


def test_labels_that_do_not_fit_are_refused() -> None:
    predict, z = small_decoder(), features()
    with pytest.raises(UserError, match="labels with the objective cross-entropy, got none"):
        cross_entropy_objective(predict, z, None)
    with pytest.raises(UserError, match="void alone"):
        cross_entropy_objective(predict, z, torch.full((3, 5, 7), 255))
    wrong = cross_entropy_objective(predict, z, torch.zeros(3, 6, 7, dtype=torch.long))
    with pytest.raises(UserError, match=r"labels and logits of one size, got labels \(6, 7\), logits \(5, 7\)"):
        wrong(torch.zeros_like(z))


def test_predictions_that_are_no_logits_are_refused() -> None:
    z = features()
    for bad, got in ((lambda v: v[:2], r"\(2, 6, 5, 7\)"), (lambda v: v.mean((2, 3)), r"\(3, 6\)"), (list, "list")):
        with pytest.raises(UserError, match=rf"expected logits \(3, K, H, W\) for 3 images, got {got}"):
            predicted(bad, z)


def test_several_devices_are_refused_in_one_line() -> None:
    z = features()
    bias, weight = torch.zeros(6, 5, 7, device="meta"), torch.zeros(4, 6, device="meta")
    for elsewhere in (lambda v: v + bias, lambda v: torch.einsum("bchw,kc->bkhw", v, weight)):
        with pytest.raises(UserError, match=r"on one device, got z on cpu.*meta.*; move them with \.to\(device\)"):
            predicted(elsewhere, z)
    with pytest.raises(UserError, match="z on cpu, labels on meta"):
        cross_entropy_objective(small_decoder(), z, torch.zeros(3, 5, 7, dtype=torch.long, device="meta"))

    def broken(values: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        predicted(broken, z)


def test_an_objective_without_a_gradient_is_refused() -> None:
    z = features()
    with pytest.raises(UserError, match="a zero one"):
        gradient(lambda offset: torch.zeros(3), torch.zeros_like(z))
    with pytest.raises(UserError, match="a zero one"):
        gradient(lambda offset: z.flatten(1).sum(1).requires_grad_(), torch.zeros_like(z))
