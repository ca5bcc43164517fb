import numpy as np
import pytest
import torch

from psmt_viz.models.inference import as_images, decode_whole, encode_whole, padded_size


class Recorder:
    """A network whose z is its input."""

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
    assert padded_size(size) == padded


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

    np.testing.assert_allclose(decode_whole(decode, z, (11, 13)), bilinear(logits.numpy(), (11, 13)), atol=1e-9)
    assert asked == [(16, 16)]


def test_sizes_that_fit_pass_through():
    images = torch.rand(1, 3, 16, 24)
    assert encode_whole(Recorder(), images) is images
    assert decode_whole(lambda z, size: z, images, (16, 24)) is images


def test_arrays_become_images():
    arrays = [np.random.default_rng(i).integers(0, 256, (5, 4, 3), dtype=np.uint8) for i in range(2)]
    images = as_images(arrays)
    assert (images.shape, images.dtype) == ((2, 3, 5, 4), torch.float32)
    for i, row, column, channel in ((0, 0, 0, 0), (1, 4, 3, 2), (1, 2, 1, 0)):
        assert float(images[i, channel, row, column]) == pytest.approx(arrays[i][row, column, channel] / 255)
    assert as_images([np.full((1, 1, 3), 255, np.uint8)]).max() == 1
