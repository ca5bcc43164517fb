"""Ascent on the sphere: never below its start, and at the top where the top is known."""

import math

import pytest
import torch

from psmt_viz.errors import UserError
from psmt_viz.perturb import adversarial_perturbation, kl_per_image, projected_ascent
from tests.perturb.small import features, small_decoder


@pytest.mark.parametrize("norm", ["image", "pixel"])
@pytest.mark.parametrize("eps", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("steps", [1, 3, 12])
def test_never_below_its_start_and_of_norm_eps(eps: float, steps: int, norm) -> None:
    predict, z = small_decoder(torch.float64), features(batch=6, dtype=torch.float64)
    for begin in (
        features(seed=4, batch=6, dtype=torch.float64),
        adversarial_perturbation(predict, z, norm=norm).delta,
    ):
        found = projected_ascent(predict, z, start=begin, eps=eps, steps=steps, norm=norm)
        dims = (1, 2, 3) if norm == "image" else (1,)
        sizes = found.delta.pow(2).sum(dims).sqrt()
        torch.testing.assert_close(sizes, torch.full_like(sizes, eps))
        first = eps * begin / begin.pow(2).sum(dims, keepdim=True).sqrt()
        before, after = kl_per_image(predict, z, first), kl_per_image(predict, z, found.delta)
        assert (after >= before * (1 - 1e-12)).all()
        torch.testing.assert_close(found.gain, after / before)


def test_reaches_the_top_of_a_circle_that_was_scanned() -> None:
    # Two features and one pixel: every direction can be tried.
    torch.manual_seed(3)
    weights = torch.randn(4, 2, dtype=torch.float64)
    predict = lambda v: torch.einsum("kc,bchw->bkhw", weights, v).tanh() * 3  # noqa: E731
    z = torch.tensor([0.3, -0.5], dtype=torch.float64).reshape(1, 2, 1, 1)
    angles = torch.linspace(0, 2 * math.pi, 20_001, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()], 1).reshape(-1, 2, 1, 1)
    for eps in (0.2, 1.5):
        top = kl_per_image(predict, z.expand(len(circle), -1, -1, -1), eps * circle)
        starts = circle[::2500]
        reached = torch.stack(
            [
                kl_per_image(predict, z, projected_ascent(predict, z, start=s[None], eps=eps, steps=60).delta)[0]
                for s in starts
            ]
        )
        # Some starts lie on the slope of a lower top; the best reaches the highest.
        assert float(reached.max()) == pytest.approx(float(top.max()), rel=1e-3)
        assert (reached <= top.max() * (1 + 1e-6)).all()


def test_each_image_climbs_alone_and_nothing_is_changed() -> None:
    predict, z, begin = small_decoder(torch.float64), features(dtype=torch.float64), features(seed=4).double()
    before = z.clone()
    together = projected_ascent(predict, z, start=begin, eps=3.0)
    assert torch.equal(z, before)
    assert not together.delta.requires_grad
    for index in range(3):
        alone = projected_ascent(predict, z[index : index + 1], start=begin[index : index + 1], eps=3.0)
        torch.testing.assert_close(alone.delta[0], together.delta[index], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("objective", ["kl", "cross-entropy"])
def test_several_ascents_from_one_place_are_those_of_each_alone(objective) -> None:
    predict, z = small_decoder(torch.float64), features(batch=1, dtype=torch.float64)
    begin = features(seed=4, batch=3, dtype=torch.float64)
    given = {"objective": objective, "labels": (predict(z).argmax(1) + 1) % 4}
    sizes = (0.3, 2.0, 7.0)
    together = projected_ascent(predict, z, start=begin, eps=sizes, **given)
    for index, eps in enumerate(sizes):
        alone = projected_ascent(predict, z, start=begin[index : index + 1], eps=eps, **given)
        own = together.of(index)
        torch.testing.assert_close(own.delta, alone.delta, rtol=1e-8, atol=1e-10)
        for name in ("norm", "relative_norm", "unchanged"):
            torch.testing.assert_close(getattr(own.health, name), getattr(alone.health, name))
        torch.testing.assert_close(own.gain, alone.gain)
        torch.testing.assert_close(own.start, alone.start)
        assert float(own.health.norm) == pytest.approx(eps)


def test_cross_entropy_can_be_raised_too() -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    labels = predict(z).argmax(1)
    given = {"objective": "cross-entropy", "labels": labels}
    start = adversarial_perturbation(predict, z, **given).delta
    found = projected_ascent(predict, z, start=start, eps=2.0, steps=20, **given)
    assert found.gain is not None and (found.gain >= 1).all()
    after = torch.nn.functional.cross_entropy(predict(z + found.delta), labels, reduction="none").flatten(1).sum(1)
    first = torch.nn.functional.cross_entropy(predict(z + start), labels, reduction="none").flatten(1).sum(1)
    torch.testing.assert_close(found.gain, after / first)


def test_bad_input_is_refused() -> None:
    predict, z = small_decoder(), features()
    with pytest.raises(UserError, match="at least 1 step of ascent, got 0"):
        projected_ascent(predict, z, start=z, steps=0)
    with pytest.raises(UserError, match="eps above 0 and finite, got inf"):
        projected_ascent(predict, z, start=z, eps=math.inf)
    with pytest.raises(UserError, match="a zero one"):
        projected_ascent(lambda v: 0 * v[:, :4], z, start=z)
