"""The search against references that share no code with it."""

import math
from collections.abc import Callable

import pytest
import torch

from psmt_viz.errors import UserError
from psmt_viz.perturb import (
    adversarial_perturbation,
    exact_cosine,
    fault_of,
    kl_per_image,
    random_perturbation,
)
from tests.perturb.small import explicit_hessian_product, features, small_decoder


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("eps", [0.01, 2.0, 50.0])
def test_norm_is_eps_for_every_image(eps: float) -> None:
    found = adversarial_perturbation(small_decoder(), features(), eps=eps, generator=generator())
    norms = found.delta.double().flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full((3,), eps, dtype=torch.float64), rtol=1e-4, atol=0)
    torch.testing.assert_close(found.health.norm.double(), norms, rtol=1e-5, atol=0)
    relative = norms / features().double().flatten(1).norm(dim=1)
    torch.testing.assert_close(found.health.relative_norm.double(), relative, rtol=1e-5, atol=0)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_direction_is_the_exact_one_in_float32(scale: float) -> None:
    # The step follows the size of z, so features of any scale must do.
    predict = small_decoder()
    reference = small_decoder(torch.float64)
    z = scale * features()
    found = adversarial_perturbation(lambda v: predict(v / scale), z, generator=generator())
    cosine = exact_cosine(lambda v: reference(v / scale), z.double(), found)
    assert (cosine >= 0.999).all()


def test_the_published_step_is_rounding_noise_and_its_health_says_so() -> None:
    # Features of the published network's size: the step lies below float32's spacing there.
    predict, z = small_decoder(), 300 * features()
    scaled = lambda v: predict(v / 300)  # noqa: E731
    found = adversarial_perturbation(scaled, z, xi=1e-6, floor=1e-8, noise="uniform", generator=generator())
    reference = small_decoder(torch.float64)
    cosine = exact_cosine(lambda v: reference(v / 300), z.double(), found)
    assert (cosine.abs() < 0.9).all()
    assert (found.health.unchanged > 0.9).all()
    assert (adversarial_perturbation(scaled, z, generator=generator()).health.unchanged < 0.01).all()


@pytest.mark.parametrize(("batch", "images"), [(None, 3), (1, 1), (8, 8)])
def test_the_published_floor_grows_with_the_images_of_a_call(batch: int | None, images: int) -> None:
    """The published code takes the gradient of KL over `images` with respect to the unit direction, and adds 1e-8."""
    predict, z, xi = small_decoder(torch.float64), features().double(), 1e-6
    given = {"xi": xi, "noise": "uniform"}
    start = torch.rand(z.shape, dtype=z.dtype, generator=generator()) - 0.5
    found = adversarial_perturbation(predict, z, eps=2.0, floor=1e-8, batch=batch, start=start, **given)
    direction = start / (start.flatten(1).norm(dim=1)[:, None, None, None] + 1e-8)
    unit = direction.requires_grad_()
    before, after = predict(z).detach().log_softmax(dim=1), predict(z + xi * unit).log_softmax(dim=1)
    ((before.exp() * (before - after)).sum() / images).backward()
    norm = unit.grad.flatten(1).norm(dim=1)
    torch.testing.assert_close(found.health.norm, 2.0 * norm / (norm + 1e-8), rtol=1e-6, atol=0)
    assert (found.health.norm < 1.0).all()  # the floor matters


def test_adversarial_beats_a_random_direction_of_equal_norm() -> None:
    predict, z = small_decoder(), features(batch=8)
    found = adversarial_perturbation(predict, z, eps=0.5, generator=generator())
    control = random_perturbation(z, eps=0.5, generator=generator())
    torch.testing.assert_close(control.delta.flatten(1).norm(dim=1), torch.full((8,), 0.5), rtol=1e-5, atol=0)
    assert (kl_per_image(predict, z, found.delta) > 2 * kl_per_image(predict, z, control.delta)).all()


def test_more_iterations_converge_to_the_top_eigenvector() -> None:
    predict, z = small_decoder(torch.float64), features(batch=1, dtype=torch.float64)
    basis = torch.eye(z.numel(), dtype=torch.float64).reshape(-1, *z.shape[1:])
    hessian = torch.stack([explicit_hessian_product(predict, z, b[None])[0].flatten() for b in basis])
    top = torch.linalg.eigh(hessian).eigenvectors[:, -1]
    found = adversarial_perturbation(predict, z, eps=1.0, iterations=200, generator=generator())
    assert abs(torch.dot(found.delta.flatten(), top)) > 0.999


def test_z_is_not_changed_and_nothing_carries_a_graph() -> None:
    z = features().requires_grad_()
    before = z.detach().clone()
    found = adversarial_perturbation(small_decoder(), z, generator=generator())
    assert torch.equal(z.detach(), before)
    assert z.grad is None
    assert not found.delta.requires_grad


def test_literal_noise_starts_unscaled() -> None:
    # With eq. 1 read literally the first step is N(0, I): far beyond the linear regime, another direction.
    predict, z = small_decoder(), features()
    literal = adversarial_perturbation(predict, z, noise="literal", generator=generator())
    small = adversarial_perturbation(predict, z, generator=generator())
    assert torch.equal(literal.start, small.start)
    assert not torch.allclose(literal.delta, small.delta, rtol=1e-2)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("noise", ["gaussian", "uniform", "literal"])
@pytest.mark.parametrize("eps", [2.0, 0.5])
def test_an_image_with_its_own_generator_is_perturbed_alike_in_any_batch(noise, eps: float) -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    given = {"eps": eps, "noise": noise}
    together = adversarial_perturbation(predict, z, generator=generators(3, 1, 2), **given)
    assert not torch.allclose(together.start[0], together.start[1])
    for order in ([1], [0], [2, 0], [2, 1, 0], [1, 1]):
        found = adversarial_perturbation(
            predict, z[order], generator=generators(*((3, 1, 2)[i] for i in order)), **given
        )
        assert torch.equal(found.start, together.start[order])
        torch.testing.assert_close(found.delta, together.delta[order], rtol=1e-6, atol=1e-9)
    # With one generator for all, its place in the batch decides.
    shared = [adversarial_perturbation(predict, z[order], generator=generator(), **given) for order in ([0, 1], [1, 0])]
    assert not torch.allclose(shared[0].start[0], shared[1].start[1])


@pytest.mark.parametrize(
    ("noise", "draw"),
    [
        ("gaussian", torch.randn),
        # The published code's: centred, for one on [0, 1) would begin near the same direction for every image.
        ("uniform", lambda *shape, generator: torch.rand(*shape, generator=generator) - 0.5),
    ],
)
def test_a_generator_for_each_image_is_drawn_from_once(noise, draw: Callable[..., torch.Tensor]) -> None:
    sources = generators(3, 1, 2)
    found = adversarial_perturbation(small_decoder(), features(), noise=noise, generator=sources)
    for source, seed, start in zip(sources, (3, 1, 2), found.start, strict=True):
        (fresh,) = generators(seed)
        drawn = draw(6, 5, 7, generator=fresh)
        torch.testing.assert_close(start, drawn / drawn.norm(), rtol=1e-6, atol=0)
        assert torch.equal(source.get_state(), fresh.get_state())


@pytest.mark.parametrize(("eps", "match"), [(0.0, "eps above 0"), (-1.0, "eps above 0"), (math.nan, "eps above 0")])
def test_a_bad_eps_is_refused(eps: float, match: str) -> None:
    with pytest.raises(UserError, match=match):
        adversarial_perturbation(small_decoder(), features(), eps=eps)


def test_a_prediction_that_ignores_z_is_refused() -> None:
    with pytest.raises(UserError, match="a zero one"):
        adversarial_perturbation(lambda z: torch.zeros(3, 4, 5, 7), features())
    with pytest.raises(UserError, match="a zero one"):
        adversarial_perturbation(lambda z: 0 * z[:, :4], features())


def test_features_and_weights_that_are_not_finite_are_refused() -> None:
    broken = features()
    broken[0, 0, 0, 0] = math.nan
    with pytest.raises(UserError, match="finite features"):
        adversarial_perturbation(small_decoder(), broken)
    network = small_decoder()
    with torch.no_grad():
        network[0].weight[0] = math.nan
    with pytest.raises(UserError, match="NaN or infinite one"):
        adversarial_perturbation(network, features())


def test_who_does_not_wait_gets_the_same_perturbation_and_its_faults() -> None:
    waited = adversarial_perturbation(small_decoder(), features(), generator=generator())
    found = adversarial_perturbation(small_decoder(), features(), generator=generator(), wait=False)
    assert torch.equal(found.delta, waited.delta)
    assert waited.faults is None
    assert found.faults.tolist() == 3 * [[False] * 3]
    assert fault_of(found.faults.sum(dim=0).tolist()) is None


def test_each_fault_is_that_of_its_image_and_says_what_a_search_that_waits_says() -> None:
    broken, network = features(), small_decoder()
    broken[1, 0, 0, 0] = math.nan
    with torch.no_grad():
        network[0].weight[0] = math.nan
    cases = (
        (small_decoder(), broken, [[0, 0, 0], [1, 1, 0], [0, 0, 0]]),
        (network, features(), 3 * [[0, 1, 0]]),
        (lambda z: small_decoder()(z) * torch.tensor([0.0, 1.0, 1.0])[:, None, None, None], features(), None),
    )
    for predict, z, expected in cases:
        found = adversarial_perturbation(predict, z, wait=False).faults
        assert found.tolist() == (expected or [[0, 0, 1], [0, 0, 0], [0, 0, 0]])
        with pytest.raises(UserError) as caught:
            adversarial_perturbation(predict, z)
        assert str(fault_of(found.sum(dim=0).tolist())) == str(caught.value)
    assert not adversarial_perturbation(lambda z: 0 * z[:, :4], features(), floor=1e-8, wait=False).faults.any()


def test_with_channels_last_the_perturbation_has_them_last_too() -> None:
    z = features(batch=3)
    last = z.contiguous(memory_format=torch.channels_last)
    start = torch.randn(z.shape, generator=generator())
    expected = adversarial_perturbation(small_decoder(), z, start=start)
    found = adversarial_perturbation(small_decoder(), last, start=start)
    for values in (found.delta, found.start):
        assert values.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.delta, expected.delta, rtol=1e-3, atol=1e-4)
    assert expected.delta.is_contiguous()
