import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from psmt_viz.errors import UserError
from psmt_viz.models.inference import as_images, decode_whole, encode_whole, padded_size, sliding_logits


class Recorder:
    """A network whose z is its input."""

    multiple = 8

    def encode(self, images):
        self.seen = images
        return images


def bilinear(values, size):
    """Aligned corners, pixel by pixel."""
    result = np.zeros((*values.shape[:2], *size))
    for row in range(size[0]):
        for column in range(size[1]):
            y = row * (values.shape[2] - 1) / (size[0] - 1)
            x = column * (values.shape[3] - 1) / (size[1] - 1)
            top, left = (min(int(place), length - 2) for place, length in ((y, values.shape[2]), (x, values.shape[3])))
            for i, down in ((0, 1 - y + top), (1, y - top)):
                for j, right in ((0, 1 - x + left), (1, x - left)):
                    result[:, :, row, column] += down * right * values[:, :, top + i, left + j]
    return result


@pytest.mark.parametrize(("size", "padded"), [((8, 16), (8, 16)), ((9, 15), (16, 16)), ((1, 24), (8, 24))])
def test_sides_go_up_to_the_next_multiple_of_8(size, padded):
    assert padded_size(size, 8) == padded


@pytest.mark.parametrize(("size", "multiple", "padded"), [((8, 16), 32, (32, 32)), ((15, 28), 14, (28, 28))])
def test_other_networks_have_multiples_of_their_own(size, multiple, padded):
    assert padded_size(size, multiple) == padded
    network, images = Recorder(), torch.rand(1, 3, *size)
    network.multiple = multiple
    assert encode_whole(network, images).shape == (1, 3, *padded)
    asked = []

    def decode(z, size):
        asked.append(tuple(size))
        return z.new_zeros(1, 2, *size)

    assert decode_whole(decode, images, size, multiple=multiple).shape == (1, 2, *size)
    assert asked == [padded]


def test_images_are_stretched_before_and_logits_after():
    images = torch.rand(2, 3, 11, 13, dtype=torch.float64)
    network = Recorder()
    z = encode_whole(network, images)
    np.testing.assert_allclose(network.seen, bilinear(images.numpy(), (16, 16)), atol=1e-9)
    logits = torch.rand(2, 4, 16, 16, dtype=torch.float64)
    asked = []

    def decode(features, size):
        assert features is z
        asked.append(tuple(size))
        return logits

    np.testing.assert_allclose(
        decode_whole(decode, z, (11, 13), multiple=8), bilinear(logits.numpy(), (11, 13)), atol=1e-9
    )
    assert asked == [(16, 16)]


def test_sizes_that_fit_pass_through():
    images = torch.rand(1, 3, 16, 24)
    assert encode_whole(Recorder(), images) is images
    assert decode_whole(lambda z, size: z, images, (16, 24), multiple=8) is images


def test_arrays_become_images():
    arrays = [np.random.default_rng(i).integers(0, 256, (5, 4, 3), dtype=np.uint8) for i in range(2)]
    images = as_images(arrays)
    assert (images.shape, images.dtype) == ((2, 3, 5, 4), torch.float32)
    for i, row, column, channel in ((0, 0, 0, 0), (1, 4, 3, 2), (1, 2, 1, 0)):
        assert float(images[i, channel, row, column]) == pytest.approx(arrays[i][row, column, channel] / 255)
    assert as_images([np.full((1, 1, 3), 255, np.uint8)]).max() == 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([(5, 4, 3), (6, 4, 3), (5, 4, 3)], r"images of one size, got 5 x 4, 6 x 4; resize or crop them"),
        ([], r"images of one size, got no image"),
        ([(5, 4, 3), (5, 4)], r"\(H, W, 3\) arrays of uint8, got uint8 \(5, 4\); convert them"),
        ([(5, 4, 4)], r"\(H, W, 3\) arrays of uint8, got uint8 \(5, 4, 4\)"),
        ([(3, 5, 4)], r"\(H, W, 3\) arrays of uint8, got uint8 \(3, 5, 4\)"),
    ],
)
def test_arrays_that_cannot_be_images(arrays, message):
    with pytest.raises(UserError, match=message):
        as_images([np.zeros(shape, np.uint8) for shape in arrays])


@pytest.mark.parametrize(
    ("value", "got"), [(np.zeros((5, 4, 3)), r"float64 \(5, 4, 3\)"), (torch.zeros(5, 4, 3), "Tensor")]
)
def test_values_of_another_type_are_no_images(value, got):
    with pytest.raises(UserError, match=rf"arrays of uint8, got {got}; .*convert\('RGB'\)"):
        as_images([value])


class Centred:
    """A network whose logits depend on everything that it sees."""

    multiple = 8

    def encode(self, images):
        return images * 2

    def decode(self, z, size):
        assert tuple(z.shape[-2:]) == tuple(size)
        return torch.cat([z - z.mean(dim=(1, 2, 3), keepdim=True), z.amax(dim=(2, 3), keepdim=True) + 0 * z], dim=1)


def placed(length, window, step):
    """First pixel of each window: a step apart while they fit, then one that ends at the border."""
    if length <= window:
        return [0]
    starts = [start for start in range(0, length, step) if start + window < length]
    return [*starts, length - window]


@pytest.mark.parametrize(
    ("size", "window", "stride"),
    [
        ((40, 56), 25, 2 / 3),
        ((24, 56), 24, 0.5),
        ((16, 40), 24, 1.0),
        ((17, 13), 24, 0.5),
        ((40, 48), 16, 0.25),
        ((24, 24), 24, 2 / 3),
    ],
)
def test_sliding_windows_against_a_loop_over_pixels(size, window, stride):
    images = torch.rand(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    network, step = Centred(), math.ceil(window * stride)
    found = sliding_logits(network, images, window=window, stride=stride, fill=0.3)
    # What is missing to a window lies around the image, half on each side and the odd pixel after it.
    before = [max(0, window - length) // 2 for length in size]
    after = [max(0, window - length) - first for length, first in zip(size, before, strict=True)]
    images = F.pad(images, [before[1], after[1], before[0], after[0]], value=0.3)
    rows, columns = (placed(length, window, step) for length in images.shape[-2:])
    views = {}
    for row in rows:
        for column in columns:
            view = images[:, :, row : row + window, column : column + window]
            views[row, column] = decode_whole(network.decode, encode_whole(network, view), view.shape[-2:], multiple=8)
    for row, column in np.ndindex(*size):
        y, x = row + before[0], column + before[1]
        covering = [(r, c) for r, c in views if 0 <= y - r < window and 0 <= x - c < window]
        assert covering
        expected = torch.stack([views[r, c][:, :, y - r, x - c] for r, c in covering]).mean(0)
        torch.testing.assert_close(found[:, :, row, column], expected)


def test_the_published_windows_of_cityscapes():
    """Starts 0, 534, 1068 and 1248 of 2048 pixels: two thirds of 800 are rounded up."""
    seen = []

    class Seen(Centred):
        def encode(self, images):
            seen.append(images[0, 0, 0].tolist())
            return super().encode(images)

    images = torch.arange(2048.0).expand(1, 3, 800, 2048)
    sliding_logits(Seen(), images, window=800, stride=2 / 3)
    assert [int(row[0]) for row in seen] == [0, 534, 1068, 1248]


def test_a_window_as_large_as_the_image_sees_it_whole():
    images = torch.rand(1, 3, 30, 30)
    whole = decode_whole(Centred().decode, encode_whole(Centred(), images), (30, 30), multiple=8)
    torch.testing.assert_close(sliding_logits(Centred(), images, window=30, stride=2 / 3), whole)
    assert not torch.allclose(sliding_logits(Centred(), images, window=16, stride=0.5), whole)


def test_an_image_smaller_than_the_window_is_filled_up_with_a_colour():
    colour = torch.tensor([0.2, 0.4, 0.6])[:, None, None]
    images = torch.rand(1, 3, 16, 24)
    padded = colour.expand(1, 3, 32, 32).clone()
    padded[..., 8:24, 4:28] = images
    expected = decode_whole(Centred().decode, encode_whole(Centred(), padded), (32, 32), multiple=8)[..., 8:24, 4:28]
    found = sliding_logits(Centred(), images, window=32, stride=2 / 3, fill=colour)
    torch.testing.assert_close(found, expected)


def test_windows_are_stretched_to_the_networks_own_multiple():
    network, images = Centred(), torch.rand(1, 3, 30, 30)
    network.multiple = 32
    z = torch.nn.functional.interpolate(images, (32, 32), mode="bilinear", align_corners=True) * 2
    whole = decode_whole(network.decode, z, (30, 30), multiple=32)
    torch.testing.assert_close(sliding_logits(network, images, window=30, stride=1.0), whole)
