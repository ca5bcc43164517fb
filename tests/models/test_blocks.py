import pytest
import torch
from torch import nn

from psmt_viz.models.blocks import PooledBatchNorm, conv_norm_relu


@pytest.fixture
def norm():
    """A norm with statistics, scale and shift, while it learns."""
    made = PooledBatchNorm(4).train()
    with torch.no_grad():
        made.running_mean.fill_(3)
        made.running_var.fill_(4)
        made.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        made.bias.fill_(0.5)
    return made


def column(values):
    return torch.tensor(values).view(1, 4, 1, 1)


def test_one_image_is_seen_with_the_running_statistics(norm):
    before = {name: values.clone() for name, values in norm.state_dict().items()}
    pooled = torch.randn(1, 4, 1, 1)
    expected = (pooled - 3) / (4 + 1e-5) ** 0.5 * column([1.0, 2.0, 3.0, 4.0]) + 0.5
    torch.testing.assert_close(norm(pooled), expected)
    assert all(torch.equal(values, before[name]) for name, values in norm.state_dict().items())
    torch.testing.assert_close(norm.eval()(pooled), expected)


def test_several_images_have_statistics_of_their_own(norm):
    pooled = torch.randn(3, 4, 1, 1)
    centred = pooled - pooled.mean(0)
    expected = centred / (centred.square().mean(0) + 1e-5).sqrt() * column([1.0, 2.0, 3.0, 4.0]) + 0.5
    torch.testing.assert_close(norm(pooled), expected)
    assert not torch.allclose(norm.running_mean, torch.tensor(3.0))
    assert norm.num_batches_tracked == 1


def test_one_image_teaches_scale_and_shift(norm):
    norm(torch.ones(1, 4, 1, 1)).sum().backward()
    assert norm.weight.grad.all() and norm.bias.grad.all()


def test_several_devices_share_its_statistics_as_those_of_any_norm(norm):
    shared = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(norm))[0]
    assert type(shared) is nn.SyncBatchNorm
    assert torch.equal(shared.running_mean, norm.running_mean)


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 6)])
def test_the_convolution_keeps_the_size(kernel, dilation):
    block = conv_norm_relu(3, 5, kernel, dilation=dilation)
    assert list(block.state_dict())[:2] == ["0.weight", "1.weight"]
    found = block(torch.randn(2, 3, 9, 7))
    assert found.shape == (2, 5, 9, 7)
    assert (found >= 0).all() and (found > 0).any()
