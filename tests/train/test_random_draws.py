import pytest
import torch

from psmt_viz.train.random_draws import RandomDraws

CPU = torch.device("cpu")


def draws(tiny, **values):
    return RandomDraws(tiny(batch_labeled=8, batch_unlabeled=8, **values))


def mixed(drawn, images, step=3):
    """Corners and partners of some images, by their numbers in the batch."""
    (box,) = drawn.mix("one", step, images, torch.Size((48, 64)), CPU).boxes
    return box.corners, box.partner + images.start


@pytest.mark.parametrize("per_gpu", [None, 8, 4, 2, 1])
def test_partners_stay_within_their_group_and_groups_have_sizes_of_their_own(tiny, per_gpu):
    drawn = draws(tiny, images_per_gpu=per_gpu)
    size = per_gpu or 8
    sides = set()
    for step in range(20):
        _, partner = mixed(drawn, range(8), step)
        for first in range(0, 8, size):
            own = partner[first : first + size]
            assert sorted(own.tolist()) == list(range(first, first + size))
    for first in range(0, 8, size):
        # The whole side, of boxes that no border cuts.
        corners = torch.cat([mixed(drawn, range(8), step)[0][first : first + size] for step in range(20)])
        inside = (corners[:, 0] > 0) & (corners[:, 2] < 48)
        sides.add(tuple((corners[inside, 2] - corners[inside, 0]).tolist()))
    assert len(sides) == 8 // size


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_places_belong_to_an_image_wherever_it_is_computed(tiny, cut):
    whole, _ = mixed(draws(tiny), range(8))
    parts = [mixed(draws(tiny), range(first, first + 8 // cut))[0] for first in range(0, 8, 8 // cut)]
    assert torch.equal(torch.cat(parts), whole)


def test_steps_and_seeds_draw_anew(tiny):
    corners, _ = mixed(draws(tiny), range(8))
    assert not torch.equal(corners, mixed(draws(tiny), range(8), step=4)[0])
    assert not torch.equal(corners, mixed(draws(tiny, seed=1), range(8))[0])


def test_without_cutmix_there_is_nothing_to_paste(tiny):
    assert draws(tiny).mix("none", 0, range(8), torch.Size((48, 48)), CPU) is None


def test_starts_belong_to_an_image_and_its_branch(tiny):
    z = torch.zeros(8, 3, 4, 4)
    drawn = draws(tiny)
    whole = drawn.start(2, "labeled", range(8), z, uniform=False)
    halves = [drawn.start(2, "labeled", range(first, first + 4), z[:4], uniform=False) for first in (0, 4)]
    assert torch.equal(torch.cat(halves), whole)
    for step, branch in ((2, "unlabeled"), (3, "labeled")):
        assert not torch.equal(drawn.start(step, branch, range(8), z, uniform=False), whole)
    assert abs(float(whole.std()) - 1) < 0.1
    uniform = drawn.start(2, "labeled", range(8), z, uniform=True)
    assert float(uniform.min()) >= -0.5 and float(uniform.max()) < 0.5
