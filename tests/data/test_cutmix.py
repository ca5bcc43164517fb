import numpy as np
import pytest
import torch

from psmt_viz.data.cutmix import Box, Mix, draw_mix


def generator(seed):
    return torch.Generator().manual_seed(seed)


def mix(kind, batch, height, width, seed):
    return draw_mix(kind, batch, height, width, boxes=generator(seed), partners=generator(seed + 1))


@pytest.mark.parametrize("kind", ["one", "three"])
@pytest.mark.parametrize("shape", [(4, 3, 19, 17), (4, 19, 17)])
def test_pasting_against_a_loop(shape, kind):
    drawn = mix(kind, 4, 19, 17, 5)
    assert len(drawn.boxes) == {"one": 1, "three": 3}[kind]
    assert all(0 < box.mask.sum() < box.mask.numel() for box in drawn.boxes)
    values = torch.randn(shape, generator=generator(1))
    before, mixed, sources = values.clone(), drawn.paste(values), set()
    for image, row, column in np.ndindex(4, 19, 17):
        source = image
        for number, box in enumerate(drawn.boxes):
            if box.mask[row, column]:
                source = int(box.partner[image])
                sources.add(number)
        assert torch.equal(mixed[image, ..., row, column], values[source, ..., row, column])
    assert len(sources) == len(drawn.boxes)
    assert torch.equal(values, before)


def test_a_later_box_covers_an_earlier_one_and_both_show_originals():
    everywhere, left = torch.ones(1, 2, dtype=torch.bool), torch.tensor([[True, False]])
    swap = torch.tensor([1, 0])
    both = Mix(boxes=(Box(mask=everywhere, partner=swap), Box(mask=left, partner=torch.tensor([0, 1]))))
    assert both.paste(torch.tensor([[[1, 2]], [[3, 4]]])).tolist() == [[[1, 4]], [[3, 2]]]


def test_pasting_keeps_truth_values_and_bytes():
    box = Mix(boxes=(Box(mask=torch.tensor([[True, False]]), partner=torch.tensor([1, 0])),))
    valid = torch.tensor([[[True, True]], [[False, False]]])
    assert box.paste(valid).tolist() == [[[False, True]], [[True, False]]]
    image = torch.tensor([[[1, 2]], [[250, 4]]], dtype=torch.uint8)
    assert box.paste(image).tolist() == [[[250, 2]], [[1, 4]]]
    assert box.paste(image).dtype == torch.uint8


def test_what_belongs_together_moves_together():
    box = mix("three", 6, 20, 30, 2)
    image = torch.arange(6.0)[:, None, None, None].expand(6, 3, 20, 30)
    logits = 10 * torch.arange(6.0)[:, None, None, None].expand(6, 7, 20, 30)
    assert torch.equal(box.paste(image)[:, 0] * 10, box.paste(logits)[:, 0])


HEIGHT, WIDTH = 512, 64
DRAWS = 3000


def edges_of(kind, draws):
    """(boxes, 2, 2): first and last + 1 row and column of each box of some draws."""
    source, partners, found = generator(0), generator(1), []
    for _ in range(draws):
        for box in draw_mix(kind, 2, HEIGHT, WIDTH, boxes=source, partners=partners).boxes:
            rows, columns = box.mask.any(1).nonzero(), box.mask.any(0).nonzero()
            found.append([[int(side[0]), int(side[-1]) + 1] for side in (rows, columns)])
            assert int(box.mask.sum()) == np.diff(found[-1]).prod()  # a full rectangle
    return np.array(found)


@pytest.fixture(scope="module")
def edges():
    return edges_of("one", DRAWS)


def test_the_share_of_the_area_before_clipping_is_one_minus_beta_4_4(edges):
    share, weights = unclipped(edges)
    # 1 - lambda ~ Beta(4, 4): mean 1/2, second moment 1/4 + 1/36.
    assert np.average(share, weights=weights) == pytest.approx(0.5, abs=0.02)
    assert np.average(share**2, weights=weights) == pytest.approx(1 / 4 + 1 / 36, abs=0.025)


def test_three_boxes_share_a_quarter_to_a_half_of_the_area():
    share, weights = unclipped(edges_of("three", 800))
    assert share.min() > 1 / 12 - 0.004 and share.max() < 1 / 6 + 0.001  # whole pixels are a little less
    assert np.average(share, weights=weights) == pytest.approx(1 / 8, abs=0.002)
    assert np.average(share**2, weights=weights) == pytest.approx((1 / 8) ** 2 + (1 / 12) ** 2 / 12, abs=0.0006)


def unclipped(edges):
    """Area of the boxes that reach no border of the rows, and weights that undo how seldom their size allows that."""
    low, high = edges[:, 0].T
    free = (low > 0) & (high < HEIGHT)
    half = (high - low)[free] / 2
    centres = np.arange(HEIGHT // 8, HEIGHT)
    chance = np.array([((centres - h > 0) & (centres + h < HEIGHT)).mean() for h in half])
    return (2 * half / HEIGHT) ** 2, 1 / chance


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
    boxes, partners = generator(0), generator(1)
    mixes = [draw_mix("three", 3, 8, 8, boxes=boxes, partners=partners) for _ in range(200)]
    drawn = [tuple(box.partner.tolist()) for each in mixes for box in each.boxes]
    assert all(sorted(partner) == [0, 1, 2] for partner in drawn)
    counts = [drawn.count(partner) for partner in set(drawn)]
    assert len(counts) == 6
    assert max(abs(count - 100) for count in counts) < 4.5 * (600 * 5 / 36) ** 0.5


def test_boxes_and_partners_are_functions_of_their_generators():
    def drawn(boxes, partners):
        (box,) = draw_mix("one", 4, 32, 32, boxes=generator(boxes), partners=generator(partners)).boxes
        return box

    first, again, elsewhere, others = drawn(3, 5), drawn(3, 5), drawn(4, 5), drawn(3, 6)
    assert torch.equal(first.mask, again.mask) and torch.equal(first.partner, again.partner)
    assert not torch.equal(first.mask, elsewhere.mask) and torch.equal(first.partner, elsewhere.partner)
    assert torch.equal(first.mask, others.mask) and not torch.equal(first.partner, others.partner)
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    drawn(0, 0)
    assert torch.equal(torch.rand(2), expected)
