import pytest
import torch

from psmt_viz.config import ModelConfig
from psmt_viz.models.build import build_networks
from tests.models.small_networks import CLASSES, TEACHERS, settle


@pytest.fixture(scope="session")
def config():
    return ModelConfig(
        backbone="test_resnet",
        pretrained=False,
        aspp_channels=10,
        aspp_rates=(1, 2, 4),
        low_channels=6,
        decoder_channels=12,
    )


@pytest.fixture
def networks(config):
    """A student and two teachers with unlike statistics and counters, in eval mode."""
    made = build_networks(config, CLASSES, teachers=TEACHERS, seed=3)
    for index, network in enumerate(made.by_role().values()):
        settle(network, index)
        for name, values in network.named_buffers():
            if name.endswith("num_batches_tracked"):
                values.fill_(100 * (index + 1))
    return made.eval()


@pytest.fixture(scope="session")
def images():
    return torch.rand(2, 3, 65, 49, generator=torch.Generator().manual_seed(1))
