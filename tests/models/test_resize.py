import pytest
import torch

from psmt_viz.models.resize import resize_aligned, resize_unaligned


def test_aligned_corners_lie_on_corners():
    values = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    found = resize_aligned(values, (3, 5))
    rows, columns = torch.linspace(0, 2, 3)[:, None], torch.linspace(0, 1, 5)
    torch.testing.assert_close(found[0, 0], rows + columns)


def test_unaligned_pixels_are_areas():
    values = torch.tensor([[[[0.0, 1.0]]]])
    # Centres at 1/8, 3/8, 5/8, 7/8 of the width; the old ones at 1/4 and 3/4, beyond which values stay.
    torch.testing.assert_close(resize_unaligned(values, (1, 4))[0, 0, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))


@pytest.mark.parametrize("resize", [resize_aligned, resize_unaligned])
def test_maps_of_the_size_pass_through(resize):
    values = torch.rand(2, 3, 4, 5)
    assert resize(values, [4, 5]) is values
    assert resize(values, (8, 5)).shape == (2, 3, 8, 5)
