import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from psmt_viz.config import ModelConfig
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.train.distance import relative_distance


def network(seed=0):
    config = ModelConfig(backbone="test_resnet", pretrained=False, aspp_channels=8, low_channels=4, decoder_channels=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DeepLabV3Plus(config, 5)


def by_hand(first, second):
    """The definition in NumPy and float64, of all parameters as one vector."""
    one, other = (
        np.concatenate([values.detach().numpy().astype(np.float64).ravel() for values in net.parameters()])
        for net in (first, second)
    )
    return math.sqrt(((one - other) ** 2).sum()) / (0.5 * (math.sqrt((one**2).sum()) + math.sqrt((other**2).sum())))


def filled(*values):
    """A network whose only weights are these."""
    layer = nn.Linear(len(values), 1, bias=False)
    layer.weight.data = torch.tensor([values])
    return layer


def test_numbers_by_hand():
    assert relative_distance(filled(3.0, 0.0), filled(0.0, 4.0)) == pytest.approx(5 / 3.5, rel=1e-15)
    assert relative_distance(filled(1.0, 2.0), filled(1.0, 2.0)) == 0
    assert relative_distance(filled(1.0, 2.0), filled(-1.0, -2.0)) == 2
    assert math.isnan(relative_distance(filled(0.0), filled(0.0)))


def test_it_is_that_of_all_parameters_as_one_vector():
    first, second = network(0), network(1)
    assert relative_distance(first, second) == pytest.approx(by_hand(first, second), rel=1e-14)
    assert relative_distance(first, second) == relative_distance(second, first) > 0.1


def test_buffers_do_not_count():
    first = network()
    second = copy.deepcopy(first)
    for buffer in second.buffers():
        buffer.add_(1)
    assert relative_distance(first, second) == 0
    second.get_parameter(next(name for name, _ in second.named_parameters())).data += 1
    assert relative_distance(first, second) > 0


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_squares_neither_vanish_nor_overflow(scale):
    """They would in float32."""
    found = relative_distance(filled(3 * scale, 0.0), filled(0.0, 4 * scale))
    assert found == pytest.approx(5 / 3.5, rel=1e-6)


def test_a_change_of_the_last_digit_is_seen():
    step = np.float32(2**-23)
    found = relative_distance(filled(*[1.0] * 1000), filled(*[1.0] * 999, float(1 + step)))
    assert found == pytest.approx(float(step) / math.sqrt(1000), rel=1e-6)


def test_other_networks_are_no_match_and_nothing_is_changed():
    first, second = network(0), network(1)
    before = [values.clone() for values in (*first.state_dict().values(), *second.state_dict().values())]
    relative_distance(first, second)
    after = [*first.state_dict().values(), *second.state_dict().values()]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    with pytest.raises(ValueError, match="zip"):
        relative_distance(first, filled(1.0))
