import numpy as np
import pytest
import torch

from psmt_viz.seeds import derived_seed
from psmt_viz.train.cutmix import Box, Mix, draw_mix, joined


def generator(seed):
    return torch.Generator().manual_seed(seed if isinstance(seed, int) else derived_seed(*seed))


def mix(kind, batch, height, width, seed):
    places = [generator((seed, image)) for image in range(batch)]
    return draw_mix(kind, batch, height, width, size=generator(seed), places=places, partners=generator(seed + 1))


def boxed(*boxes):
    """A mix of boxes, each given as its corners and partners, image by image."""
    return Mix(boxes=tuple(Box(corners=torch.tensor(corners), partner=torch.tensor(who)) for corners, who in boxes))


@pytest.mark.parametrize("kind", ["one", "three"])
@pytest.mark.parametrize("shape", [(4, 3, 19, 17), (4, 19, 17)])
def test_pasting_against_a_loop(shape, kind):
    drawn = mix(kind, 4, 19, 17, 5)
    assert len(drawn.boxes) == {"one": 1, "three": 3}[kind]
    values = torch.randn(shape, generator=generator(1))
    before, mixed, sources = values.clone(), drawn.paste(values), set()
    for image, row, column in np.ndindex(4, 19, 17):
        source = image
        for number, box in enumerate(drawn.boxes):
            top, left, bottom, right = box.corners[image].tolist()
            if top <= row < bottom and left <= column < right:
                source = int(box.partner[image])
                sources.add((number, image))
        assert torch.equal(mixed[image, ..., row, column], values[source, ..., row, column])
    assert len(sources) == 4 * len(drawn.boxes)
    assert torch.equal(values, before)


def test_a_later_box_covers_an_earlier_one_and_both_show_originals():
    everywhere, left = [[0, 0, 1, 2]] * 2, [[0, 0, 1, 1]] * 2
    both = boxed((everywhere, [1, 0]), (left, [0, 1]))
    assert both.paste(torch.tensor([[[1, 2]], [[3, 4]]])).tolist() == [[[1, 4]], [[3, 2]]]


def test_pasting_keeps_truth_values_and_bytes():
    box = boxed(([[0, 0, 1, 1]] * 2, [1, 0]))
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


def test_joined_groups_keep_their_partners_to_themselves():
    groups = [mix("three", 3, 20, 30, seed) for seed in (1, 2)]
    values = torch.randn(6, 2, 20, 30, generator=generator(3))
    apart = torch.cat([group.paste(part) for group, part in zip(groups, values.split(3), strict=True)])
    assert torch.equal(joined(groups).paste(values), apart)


HEIGHT, WIDTH = 512, 64
DRAWS, BATCH = 800, 4


def drawn(kind, draws=DRAWS, height=HEIGHT, width=WIDTH):
    """Corners (draws, BATCH, boxes, 4) and partners (draws, BATCH, boxes)."""
    mixes = [mix(kind, BATCH, height, width, 2 * number) for number in range(draws)]
    corners, partners = (
        torch.stack([torch.stack([getattr(box, name) for box in each.boxes], dim=1) for each in mixes]).numpy()
        for name in ("corners", "partner")
    )
    return corners, partners


@pytest.fixture(scope="module")
def squares():
    corners, _ = drawn("one")
    return corners[:, :, 0]


def test_a_batch_shares_the_size_of_its_box_and_each_image_has_its_own_place(squares):
    tall = squares[..., 2] - squares[..., 0]
    free = (squares[..., 0] > 0) & (squares[..., 2] < HEIGHT)
    both = free[:, 0] & free[:, 1]
    assert both.sum() > 20
    assert (tall[both, 0] == tall[both, 1]).all()
    assert (squares[:, 0] != squares[:, 1]).any(axis=1).all()
    centre = squares[both][..., [0, 2]].mean(axis=2)
    assert abs(np.corrcoef(centre[:, 0], centre[:, 1])[0, 1]) < 0.9  # the size alone ties them


def test_the_share_of_the_area_before_clipping_is_one_minus_beta_4_4(squares):
    share, weights = unclipped(squares.reshape(-1, 4))
    # 1 - lambda ~ Beta(4, 4): mean 1/2, second moment 1/4 + 1/36.
    assert np.average(share, weights=weights) == pytest.approx(0.5, abs=0.02)
    assert np.average(share**2, weights=weights) == pytest.approx(1 / 4 + 1 / 36, abs=0.025)


def unclipped(corners):
    """Area of the boxes that reach no border of the rows, and weights that undo how seldom their size allows that."""
    low, high = corners[:, 0], corners[:, 2]
    free = (low > 0) & (high < HEIGHT)
    half = (high - low)[free] / 2
    centres = np.arange(HEIGHT // 8, HEIGHT)
    chance = np.array([((centres - h > 0) & (centres + h < HEIGHT)).mean() for h in half])
    return (2 * half / HEIGHT) ** 2, 1 / chance


def test_the_clipped_area_against_numpys_beta(squares):
    rng, n = np.random.default_rng(0), 200_000
    side = np.sqrt(1 - rng.beta(4, 4, n))
    shares = []
    for length in (HEIGHT, WIDTH):
        centre = rng.uniform(length / 8, length, n)
        cut = side * length
        shares.append((np.minimum(centre + cut / 2, length) - np.maximum(centre - cut / 2, 0)) / length)
    expected = np.prod(shares, axis=0)
    found = np.prod(squares[..., 2:] - squares[..., :2], axis=-1) / (HEIGHT * WIDTH)
    # 4.5 standard errors of as many sizes, and what rounding to 64 columns can take away.
    assert abs(found.mean() - expected.mean()) < 4.5 * expected.std() / DRAWS**0.5 + 0.01
    assert found.std() == pytest.approx(expected.std(), rel=0.06)


def test_centres_are_drawn_for_each_side_alone(squares):
    rows, columns = squares[..., [0, 2]].mean(axis=2).ravel(), squares[..., [1, 3]].mean(axis=2).ravel()
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 4.5 / DRAWS**0.5
    assert (squares[..., 2] == HEIGHT).mean() > 0.2
    assert (squares[..., 0] == 0).mean() > 0.05


def test_the_partner_is_a_permutation_and_any_of_them():
    sources = [draw_mix("one", 3, 8, 8, **sources_of(number, 3)) for number in range(600)]
    found = [tuple(each.boxes[0].partner.tolist()) for each in sources]
    assert all(sorted(partner) == [0, 1, 2] for partner in found)
    counts = [found.count(partner) for partner in set(found)]
    assert len(counts) == 6
    assert max(abs(count - 100) for count in counts) < 4.5 * (600 * 5 / 36) ** 0.5


def sources_of(number, batch):
    places = [generator((number, image)) for image in range(batch)]
    return {"size": generator(number), "places": places, "partners": generator(number + 10**6)}


@pytest.fixture(scope="module")
def rectangles():
    return drawn("three", draws=500, height=600, width=800)


def test_three_boxes_lie_inside_and_share_a_quarter_to_a_half_of_the_area(rectangles):
    corners, _ = rectangles
    assert corners.shape == (500, BATCH, 3, 4)
    assert corners[..., :2].min() >= 0 and corners[..., 2].max() <= 600 and corners[..., 3].max() <= 800
    area = np.prod(corners[..., 2:] - corners[..., :2], axis=-1) / (600 * 800)
    assert area.min() > 1 / 12 - 0.003 and area.max() < 1 / 6 + 0.003  # of rounding to pixels
    assert area.mean() == pytest.approx(1 / 8, abs=0.002)
    # Each box has its own.
    assert abs(np.corrcoef(area[..., 0].ravel(), area[..., 1].ravel())[0, 1]) < 4.5 / 2000**0.5


def test_the_shape_of_three_boxes_against_numpy(rectangles):
    corners, _ = rectangles
    sides = (corners[..., 2:] - corners[..., :2]) / np.array([600, 800])
    rng = np.random.default_rng(0)
    share = rng.uniform(0.25, 0.5, 200_000)
    tall = share ** rng.uniform(size=200_000)
    for axis, expected in enumerate((tall / 3**0.5, share / tall / 3**0.5)):
        found = sides[..., axis].ravel()
        assert found.mean() == pytest.approx(expected.mean(), abs=0.006)
        for q in (0.05, 0.5, 0.95):
            assert np.quantile(found, q) == pytest.approx(np.quantile(expected, q), abs=0.02)


def test_places_of_three_boxes_are_uniform_in_the_room_left(rectangles):
    corners, _ = rectangles
    for low, high, length in ((0, 2, 600), (1, 3, 800)):
        place = (corners[..., low] / (length - (corners[..., high] - corners[..., low]))).ravel()
        assert place.mean() == pytest.approx(0.5, abs=4.5 * 12**-0.5 / 6000**0.5)
        assert place.var() == pytest.approx(1 / 12, rel=0.06)


def test_partners_of_three_boxes_are_any_image_and_the_image_itself(rectangles):
    _, partners = rectangles
    shares = np.bincount(partners.ravel(), minlength=BATCH) / partners.size
    assert np.abs(shares - 1 / BATCH).max() < 4.5 * (3 / 16 / partners.size) ** 0.5
    own = (partners == np.arange(BATCH)[:, None]).mean()
    assert own == pytest.approx(1 / BATCH, abs=4.5 * (3 / 16 / partners.size) ** 0.5)


def test_boxes_and_partners_are_functions_of_their_generators():
    def one(size, place, partners):
        sources = {"size": generator(size), "places": [generator(place)] * 4, "partners": generator(partners)}
        (box,) = draw_mix("one", 4, 32, 32, **sources).boxes
        return box

    first, again, elsewhere, others = one(3, 4, 5), one(3, 4, 5), one(3, 6, 5), one(3, 4, 6)
    assert torch.equal(first.corners, again.corners) and torch.equal(first.partner, again.partner)
    assert not torch.equal(first.corners, elsewhere.corners) and torch.equal(first.partner, elsewhere.partner)
    assert torch.equal(first.corners, others.corners) and not torch.equal(first.partner, others.partner)
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    one(0, 0, 0)
    assert torch.equal(torch.rand(2), expected)
