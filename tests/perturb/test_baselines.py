"""The feature perturbations of Cross-Consistency Training: supports, expectations and own sizes in closed form."""

import numpy as np
import pytest
import torch

from psmt_viz.errors import UserError
from psmt_viz.kinds import KINDS
from psmt_viz.perturb import feature_perturbation, random_perturbation
from psmt_viz.perturb.baselines import cutout, dropout, feature_drop, feature_noise
from tests.perturb.small import features, small_decoder


def draws(seed: int):
    source = torch.Generator().manual_seed(seed)
    return lambda shape: torch.rand(shape, generator=source, dtype=torch.float64)


def one(seed: int = 1) -> torch.Tensor:
    return features(seed=seed, batch=1, dtype=torch.float64)[0]


def many(change, times: int = 4000) -> torch.Tensor:
    return torch.stack([change(draws(seed)) for seed in range(times)])


def test_dropout_drops_whole_channels_half_of_the_time_and_keeps_the_mean() -> None:
    z = one()
    changes = many(lambda draw: dropout(z, draw))
    # A channel is cleared or doubled, so the change has the norm of z itself.
    ratio = (changes / z).flatten(2)
    assert set(ratio.flatten().round(decimals=9).tolist()) == {-1.0, 1.0}
    assert (ratio == ratio[..., :1]).all()
    torch.testing.assert_close(changes.flatten(1).norm(dim=1), z.norm().expand(4000))
    assert (ratio[..., 0].mean(0).abs() < 4 / 4000**0.5).all()  # 4 standard errors of a fair coin


def test_feature_noise_is_uniform_and_relative() -> None:
    z = one()
    relative = many(lambda draw: feature_noise(z, draw)) / z
    assert float(relative.abs().max()) <= 0.3
    assert float(relative.abs().max()) > 0.2999
    error = 0.3 / 3**0.5 / 4000**0.5
    assert (relative.mean(0).abs() < 5 * error).all()
    torch.testing.assert_close(relative.var(0), torch.full_like(z, 0.03), rtol=0.1, atol=0)


def test_feature_drop_clears_the_most_active_places_above_a_random_threshold() -> None:
    z = one()
    activity = z.sum(0).numpy()
    share = (activity - activity.min()) / (activity.max() - activity.min())
    changes = many(lambda draw: feature_drop(z, draw))
    cleared = (changes != 0).any(1).numpy()
    np.testing.assert_array_equal(changes.numpy(), -z.numpy() * cleared[:, None])
    # P(threshold <= share) for a threshold uniform in [0.6, 0.9].
    expected = np.clip((share - 0.6) / 0.3, 0, 1)
    assert cleared[:, share < 0.6].sum() == 0
    assert cleared[:, share > 0.9].all()
    np.testing.assert_allclose(cleared.mean(0), expected, atol=4 * 0.5 / 4000**0.5)
    assert (expected > 0).sum() > (expected == 1).sum()  # the case has places that are cleared now and then


def test_cutout_clears_a_box_of_two_fifths_of_each_region() -> None:
    # One region of 10 x 10 inside another of 20 x 30, at the size of the features.
    regions = torch.zeros(20, 30, dtype=torch.long)
    regions[5:15, 10:20] = 1
    z = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1
    changes = many(lambda draw: cutout(z, regions, draw), 3000)
    cleared = (changes != 0).any(1)
    np.testing.assert_array_equal(changes.numpy(), (-z * cleared[:, None]).numpy())

    def chance(length: int, wide: int) -> np.ndarray:
        """Chance that a box of `wide`, uniform over all its places in `length`, covers each position."""
        covered = np.array([np.isin(np.arange(length), np.arange(s, s + wide)) for s in range(length - wide + 1)])
        return covered.mean(0)

    outer = np.outer(chance(20, 8), chance(30, 12))
    inner = np.zeros((20, 30))
    inner[5:15, 10:20] = np.outer(chance(10, 4), chance(10, 4))
    expected = outer + inner - outer * inner  # the two boxes are drawn apart
    np.testing.assert_allclose(cleared.double().mean(0), expected, atol=4 * 0.5 / 3000**0.5)
    # Every box has its size: what a draw clears is that of one box or the union of both.
    sizes = cleared.flatten(1).sum(1)
    assert ((sizes >= 8 * 12) & (sizes <= 8 * 12 + 4 * 4)).all()


def test_cutout_leaves_specks_alone_and_follows_coarser_features() -> None:
    regions = torch.zeros(200, 200, dtype=torch.long)
    regions[100:102, 100:102] = 1  # 0.01 % of the image
    z = torch.ones(2, 50, 50, dtype=torch.float64)
    cleared = cutout(z, regions, draws(0))[0] != 0
    rows, cols = cleared.nonzero(as_tuple=True)
    # 80 x 80 pixels are 20 x 20 places, 21 where they begin inside one.
    assert all(span.max() - span.min() + 1 in (20, 21) for span in (rows, cols))
    assert len(rows) == (rows.max() - rows.min() + 1) * (cols.max() - cols.min() + 1)


@pytest.mark.parametrize("norm", ["image", "pixel"])
@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.own_size])
def test_scaled_to_eps_in_the_direction_of_the_change(kind: str, norm) -> None:
    predict, z = small_decoder(torch.float64), features(dtype=torch.float64)

    def made(eps: float):
        seeded = [torch.Generator().manual_seed(seed) for seed in (1, 2, 3)]
        return feature_perturbation(kind, z, predict=predict, eps=eps, norm=norm, generator=seeded)

    found = made(2.0)
    assert found.own_norm is not None
    own = found.start * found.own_norm[:, None, None, None]
    assert ((own + z).abs() <= 2 * z.abs() + 1e-12).all()  # no feature is more than doubled by any of them
    if norm == "image":
        torch.testing.assert_close(found.delta.flatten(1).norm(dim=1), torch.full((3,), 2.0, dtype=torch.float64))
        torch.testing.assert_close(found.delta, 2 * own / own.flatten(1).norm(dim=1)[:, None, None, None])
    else:
        sizes = found.delta.norm(dim=1)
        changed = own.norm(dim=1) > 0
        torch.testing.assert_close(sizes[changed], torch.full_like(sizes[changed], 2.0))
        assert (sizes[~changed] == 0).all()
    torch.testing.assert_close(made(4.0).delta, 2 * found.delta)


def test_random_directions_have_the_norm_of_each_pixel_or_of_the_image() -> None:
    z = features(dtype=torch.float64)
    seeded = lambda: torch.Generator().manual_seed(1)  # noqa: E731
    pixel = random_perturbation(z, eps=3.0, norm="pixel", generator=seeded())
    torch.testing.assert_close(pixel.delta.norm(dim=1), torch.full((3, 5, 7), 3.0, dtype=torch.float64))
    image = random_perturbation(z, eps=3.0, generator=seeded())
    torch.testing.assert_close(image.delta.flatten(1).norm(dim=1), torch.full((3,), 3.0, dtype=torch.float64))
    assert torch.equal(image.start, pixel.start)


def test_features_that_are_all_zero_are_refused() -> None:
    with pytest.raises(UserError, match="a zero one"):
        feature_perturbation("dropout", torch.zeros(1, 3, 4, 4), generator=[torch.Generator().manual_seed(0)])
