import numpy as np
import pytest
import torch

from psmt_viz.data.cutmix import Box, draw_box


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(4, 3, 9, 7), (4, 9, 7)])
def test_pasting_against_a_loop(shape):
    box = draw_box(4, 9, 7, generator=generator(5))
    assert 0 < box.mask.sum() < box.mask.numel()
    values = torch.randn(shape, generator=generator(1))
    before, mixed = values.clone(), box.paste(values)
    for image in range(4):
        for row in range(9):
            for column in range(7):
                source = box.partner[image] if box.mask[row, column] else image
                assert torch.equal(mixed[image, ..., row, column], values[source, ..., row, column])
    assert torch.equal(values, before)


def test_pasting_keeps_truth_values_and_bytes():
    box = Box(mask=torch.tensor([[True, False]]), partner=torch.tensor([1, 0]))
    valid = torch.tensor([[[True, True]], [[False, False]]])
    assert box.paste(valid).tolist() == [[[False, True]], [[True, False]]]
    image = torch.tensor([[[1, 2]], [[250, 4]]], dtype=torch.uint8)
    assert box.paste(image).tolist() == [[[250, 2]], [[1, 4]]]
    assert box.paste(image).dtype == torch.uint8


def test_what_belongs_together_moves_together():
    box = draw_box(6, 20, 30, generator=generator(2))
    image = torch.arange(6.0)[:, None, None, None].expand(6, 3, 20, 30)
    logits = 10 * torch.arange(6.0)[:, None, None, None].expand(6, 7, 20, 30)
    assert torch.equal(box.paste(image)[:, 0] * 10, box.paste(logits)[:, 0])


HEIGHT, WIDTH = 512, 64
DRAWS = 3000


@pytest.fixture(scope="module")
def edges():
    """(DRAWS, 2, 2): first and last + 1 row and column of each box."""
    source, found = generator(0), []
    for _ in range(DRAWS):
        mask = draw_box(2, HEIGHT, WIDTH, generator=source).mask
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        found.append([[int(side[0]), int(side[-1]) + 1] for side in (rows, columns)])
        assert int(mask.sum()) == np.diff(found[-1]).prod()  # a full rectangle
    return np.array(found)


def test_the_share_of_the_area_before_clipping_is_one_minus_beta_4_4(edges):
    """Boxes that reach no border of the rows, weighted by how seldom their size allows that."""
    low, high = edges[:, 0].T
    free = (low > 0) & (high < HEIGHT)
    half = (high - low)[free] / 2
    centres = np.arange(HEIGHT // 8, HEIGHT)
    chance = np.array([((centres - h > 0) & (centres + h < HEIGHT)).mean() for h in half])
    share = (2 * half / HEIGHT) ** 2
    # 1 - lambda ~ Beta(4, 4): mean 1/2, second moment 1/4 + 1/36.
    assert np.average(share, weights=1 / chance) == pytest.approx(0.5, abs=0.02)
    assert np.average(share**2, weights=1 / chance) == pytest.approx(1 / 4 + 1 / 36, abs=0.025)


def test_the_clipped_area_against_numpys_beta(edges):
    rng, n = np.random.default_rng(0), 200_000
    side = np.sqrt(1 - rng.beta(4, 4, n))
    shares = []
    for length in (HEIGHT, WIDTH):
        centre = rng.uniform(length / 8, length, n)
        cut = side * length
        shares.append((np.minimum(centre + cut / 2, length) - np.maximum(centre - cut / 2, 0)) / length)
    expected = np.prod(shares, axis=0)
    found = (edges[..., 1] - edges[..., 0]).prod(axis=1) / (HEIGHT * WIDTH)
    # 4.5 standard errors, and what rounding to 64 columns can take away.
    assert abs(found.mean() - expected.mean()) < 4.5 * expected.std() / DRAWS**0.5 + 0.01
    assert found.std() == pytest.approx(expected.std(), rel=0.06)


def test_centres_are_drawn_for_each_side_alone(edges):
    middle = edges.mean(axis=2)
    assert abs(np.corrcoef(middle.T)[0, 1]) < 4.5 / DRAWS**0.5
    assert (edges[:, 0, 1] == HEIGHT).mean() > 0.2
    assert (edges[:, 0, 0] == 0).mean() > 0.05


def test_the_partner_is_a_permutation_and_any_of_them():
    source = generator(0)
    drawn = [tuple(draw_box(3, 8, 8, generator=source).partner.tolist()) for _ in range(600)]
    assert all(sorted(partner) == [0, 1, 2] for partner in drawn)
    counts = [drawn.count(partner) for partner in set(drawn)]
    assert len(counts) == 6
    assert max(abs(count - 100) for count in counts) < 4.5 * (600 * 5 / 36) ** 0.5


def test_boxes_are_a_function_of_the_generator():
    first, again, other = (draw_box(4, 32, 32, generator=generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.mask, again.mask) and torch.equal(first.partner, again.partner)
    assert not torch.equal(first.mask, other.mask)
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    draw_box(4, 32, 32, generator=generator(0))
    assert torch.equal(torch.rand(2), expected)
