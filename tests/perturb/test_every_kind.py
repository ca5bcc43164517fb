"""Every kind through the one call: sizes, makers, settings, and the exact search it is held against."""

import math

import pytest
import torch
from torch.nn import functional as F

from psmt_viz.errors import UserError
from psmt_viz.kinds import KINDS
from psmt_viz.perturb import (
    SearchSettings,
    adversarial_perturbation,
    cosine_per_image,
    exact_cosine,
    make,
    projected_ascent,
)
from tests.perturb.small import explicit_hessian_product, features, small_decoder


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in (1, 2, 3)]


def made(kind: str, **changed):
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    settings = SearchSettings(**changed.pop("settings", {}))
    return make(kind, predict, z, settings=settings, generator=generators(), **changed)


@pytest.mark.parametrize("norm", ["image", "pixel"])
@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.keeps_eps and not kind.own_size])
def test_norms_are_exact(kind: str, norm) -> None:
    found = made(kind, eps=3.0, settings={"norm": norm})
    sizes = found.delta.norm(dim=1) if norm == "pixel" else found.delta.flatten(1).norm(dim=1)
    torch.testing.assert_close(sizes, torch.full_like(sizes, 3.0), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.health.norm, torch.full((3,), 3.0, dtype=torch.float64))
    whole = found.delta.flatten(1).norm(dim=1) / features(dtype=torch.float64).flatten(1).norm(dim=1)
    torch.testing.assert_close(found.health.relative_norm, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_tells_how_a_kind_is_made(kind: str) -> None:
    known = KINDS[kind]
    predict = None if known.maker is None else small_decoder(torch.float64)
    z = features(dtype=torch.float64)
    found = make(kind, predict, z, eps=2.0, generator=generators())
    wider = make(kind, predict, z, eps=4.0, generator=generators())
    assert found.delta.shape == z.shape and torch.isfinite(found.delta).all()
    assert (found.own_norm is not None) == known.own_size
    assert bool((found.health.norm / 2 > 0.99).all()) == known.keeps_eps
    cosine = cosine_per_image(found.delta, wider.delta)
    assert bool((cosine > 1 - 1e-9).all()) != known.depends_on_eps


def test_searches_are_one_function_told_apart_by_who_predicts() -> None:
    for kind in ("vat", "teacher1", "tvat"):  # one function, told apart by who predicts
        torch.testing.assert_close(made(kind).delta, made("vat").delta, rtol=0, atol=0)


@pytest.mark.parametrize("iterations", [1, 3])
def test_exact_search_follows_the_explicit_hessian(iterations: int) -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    found = made("vat", eps=1.0, settings={"search": "exact", "iterations": iterations})
    direction = found.start
    for _ in range(iterations):
        product = explicit_hessian_product(predict, z, direction)
        direction = product / product.flatten(1).norm(dim=1)[:, None, None, None]
    torch.testing.assert_close(found.delta, direction, rtol=1e-8, atol=1e-10)
    near = made("vat", eps=1.0, settings={"iterations": iterations})
    assert (cosine_per_image(near.delta, direction) > 0.999).all()
    assert (found.health.unchanged == 0).all()


def test_exact_search_of_a_pixel_norm_scales_each_vector() -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    found = made("vat", eps=1.0, settings={"search": "exact", "norm": "pixel"})
    product = explicit_hessian_product(predict, z, found.start)
    torch.testing.assert_close(found.delta, product / product.norm(dim=1, keepdim=True), rtol=1e-8, atol=1e-10)


def test_cross_entropy_has_the_direction_of_its_gradient() -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64).requires_grad_()
    labels = torch.randint(0, 4, (3, 5, 7), generator=torch.Generator().manual_seed(1))
    (slope,) = torch.autograd.grad(F.cross_entropy(predict(z), labels, reduction="sum"), z)
    expected = slope / slope.flatten(1).norm(dim=1)[:, None, None, None]
    how = {"objective": "cross-entropy"}
    exact = made("vat", eps=1.0, labels=labels, settings=how | {"search": "exact"})
    torch.testing.assert_close(exact.delta, expected)
    near = made("vat", eps=1.0, labels=labels, settings=how)
    assert (cosine_per_image(near.delta, expected) > 0.999).all()


def test_pgd_is_the_ascent_from_vat() -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    found = made("pgd", eps=4.0, settings={"ascent_steps": 7})
    again = projected_ascent(predict, z, start=made("vat").delta, eps=4.0, steps=7)
    torch.testing.assert_close(found.delta, again.delta, rtol=0, atol=0)
    assert (found.gain > 1.01).all()
    # Unlike the others it depends on eps by more than its size.
    assert (cosine_per_image(found.delta, made("pgd", eps=0.1).delta) < 0.999).all()


@pytest.mark.parametrize("norm", ["image", "pixel"])
@pytest.mark.parametrize("objective", ["kl", "cross-entropy"])
@pytest.mark.parametrize("iterations", [1, 2])
def test_exact_cosine_sees_a_sound_search_and_a_ruined_one(norm, objective, iterations: int) -> None:
    predict, reference, z = small_decoder(), small_decoder(torch.float64), features()
    labels = torch.randint(0, 4, (3, 5, 7), generator=torch.Generator().manual_seed(1))
    how = SearchSettings(norm=norm, objective=objective, iterations=iterations)
    found = make("vat", predict, z, settings=how, labels=labels, generator=generators())
    assert (exact_cosine(reference, z.double(), found, settings=how, labels=labels) > 0.999).all()
    random = make("random", None, z, settings=how, generator=generators())
    assert (exact_cosine(reference, z.double(), random, settings=how, labels=labels).abs() < 0.9).all()


def published(predict, z, start, *, xi, batch, eps=2.0):
    """The published search written out in its own units: the gradient with respect to the unit direction."""
    unit = (start / (start.flatten(1).norm(dim=1)[:, None, None, None] + 1e-8)).requires_grad_()
    p = predict(z).softmax(1).detach()
    log_q = predict(z + xi * unit).log_softmax(1)
    ((p * (p.log() - log_q)).sum() / batch).backward()
    return eps * unit.grad / (unit.grad.flatten(1).norm(dim=1)[:, None, None, None] + 1e-8)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("xi", [1e-6, 1e-4, 1e-2, 1.0])
def test_the_floor_has_the_units_of_the_published_code(xi: float, batch: int) -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    start = torch.rand(z.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64) - 0.5
    expected = published(predict, z, start, xi=xi, batch=batch)
    found = adversarial_perturbation(predict, z, xi=xi, floor=1e-8, batch=batch, start=start).delta
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9 * float(expected.abs().max()))
    # The floor matters at the published step and not at a large one.
    norm = float(expected.flatten(1).norm(dim=1).max())
    assert norm < 0.01 if xi == 1e-6 else norm > 1.5 if xi == 1.0 else True


def test_the_floor_knows_how_many_images_a_call_has() -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)
    given = {"xi": 1e-6, "floor": 1e-8, "start": torch.ones_like(z)}
    by_default = adversarial_perturbation(predict, z, **given).delta
    assert torch.equal(by_default, adversarial_perturbation(predict, z, batch=len(z), **given).delta)
    # Far above the gradient the noise falls with the images, in inverse proportion.
    norms = [adversarial_perturbation(predict, z, batch=batch, **given).health.norm for batch in (1, 8)]
    torch.testing.assert_close(norms[0] / norms[1], torch.full_like(norms[0], 8.0), rtol=1e-2, atol=0)


def test_the_published_search_is_next_to_nothing() -> None:
    predict, z = small_decoder(), features()
    official = make("tvat-official", predict, z, generator=generators())
    assert (official.health.norm < 0.01 * 2).all()
    again = adversarial_perturbation(predict, z, xi=1e-6, floor=1e-8, batch=8, noise="uniform", generator=generators())
    assert torch.equal(official.delta, again.delta)
    alone = make("tvat-official", predict, z, settings=SearchSettings(official_batch=1), generator=generators())
    torch.testing.assert_close(alone.health.norm / official.health.norm, torch.full((3,), 8.0), rtol=1e-2, atol=0)
    torch.testing.assert_close(make("tvat", predict, z, generator=generators()).health.norm, torch.full((3,), 2.0))


def test_bf16_autocast_keeps_the_direction_and_a_central_difference_is_nearer() -> None:
    predict, reference, z = small_decoder(), small_decoder(torch.float64), features()
    cosines = {}
    for search in ("finite-difference", "central-difference"):
        with torch.autocast("cpu", torch.bfloat16):
            found = make("vat", predict, z, settings=SearchSettings(search=search), generator=generators())
        cosines[search] = exact_cosine(reference, z.double(), found)
    assert (cosines["finite-difference"] > 0.98).all()
    assert (cosines["central-difference"] > cosines["finite-difference"]).all()


def test_a_central_difference_is_that_of_kl_alone() -> None:
    labels = torch.zeros(3, 5, 7, dtype=torch.long)
    with pytest.raises(UserError, match="the objective kl with central-difference"):
        made("vat", labels=labels, settings={"search": "central-difference", "objective": "cross-entropy"})


def test_bad_input_is_refused() -> None:
    with pytest.raises(UserError, match="kinds among vat, tvat"):
        made("vta")
    for name, flag in (
        ("iterations", "--iterations"),
        ("ascent_steps", "--ascent-steps"),
        ("official_batch", "--official-batch"),
    ):
        with pytest.raises(UserError, match=f"{flag} of at least 1, got 0"):
            SearchSettings(**{name: 0})
    for kind in KINDS:
        for eps in (0.0, -1.0, math.nan, math.inf):
            with pytest.raises(UserError, match="eps above 0 and finite"):
                made(kind, eps=eps)
    with pytest.raises(UserError, match="labels with the objective cross-entropy"):
        made("vat", settings={"objective": "cross-entropy"})
    with pytest.raises(UserError, match=r"z as one tensor \(B, C, H, W\), got list; stack maps of one size"):
        make("vat", small_decoder(), [torch.zeros(6, 5, 7), torch.zeros(6, 4, 7)], generator=generators())
    with pytest.raises(UserError, match="z and its generator on one device, got meta and cpu"):
        make("random", None, features().to("meta"), generator=generators())
