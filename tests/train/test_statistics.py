import copy

import pytest
import torch
from torch import nn

from psmt_viz.train.statistics import SharedStatistics


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=0.1)).train()


@pytest.fixture
def views():
    """Three micro-batches of two images."""
    return torch.rand(3, 2, 3, 5, 5, generator=torch.Generator().manual_seed(1))


def shared(network, count, total=lambda values: values):
    return SharedStatistics(network, total=total, micro_batches=count)


def test_statistics_move_once_by_the_mean_over_the_micro_batches(network, views):
    norm = network[1]
    norm.running_mean.fill_(0.5)
    with torch.no_grad():
        features = [network[0](images) for images in views]
    means = torch.stack([f.mean(dim=(0, 2, 3)) for f in features])
    variances = torch.stack([f.transpose(0, 1).flatten(1).var(dim=1) for f in features])
    statistics = shared(network, 3)
    for images in views:
        with statistics.micro_batch():
            network(images)
    statistics.finish()
    torch.testing.assert_close(norm.running_mean, 0.9 * torch.full((4,), 0.5) + 0.1 * means.mean(dim=0))
    torch.testing.assert_close(norm.running_var, 0.9 * torch.ones(4) + 0.1 * variances.mean(dim=0))
    assert int(norm.num_batches_tracked) == 1


def test_it_does_not_matter_which_process_has_which_micro_batch(network, views):
    alone, one, other = (copy.deepcopy(network) for _ in range(3))
    statistics = shared(alone, 3)
    for images in views:
        with statistics.micro_batch():
            alone(images)
    statistics.finish()

    sums = []
    for process, mine in ((one, views[:1]), (other, views[1:])):
        here = shared(process, 3, total=lambda values: sums.append(values) or values)
        for images in mine:
            with here.micro_batch():
                process(images)
        here.finish()  # tells its sum
    for process in (one, other):
        process.load_state_dict(network.state_dict())
        together = shared(process, 3, total=lambda _: sums[0] + sums[1])
        together.finish()
        torch.testing.assert_close(process[1].running_mean, alone[1].running_mean)
        torch.testing.assert_close(process[1].running_var, alone[1].running_var)


def test_one_micro_batch_is_left_to_batch_normalisation(network, views):
    plain = copy.deepcopy(network)
    plain(views[0])
    statistics = shared(network, 1, total=None)  # nothing to sum
    with statistics.micro_batch():
        network(views[0])
    statistics.finish()
    for name, values in plain.state_dict().items():
        assert torch.equal(network.state_dict()[name], values), name


def test_a_layer_in_eval_mode_keeps_its_statistics(network, views):
    network[1].eval()
    before = copy.deepcopy(network.state_dict())
    statistics = shared(network, 3)
    for images in views:
        with statistics.micro_batch():
            network(images)
    statistics.finish()
    for name, values in before.items():
        assert torch.equal(network.state_dict()[name], values), name
