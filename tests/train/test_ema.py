import pytest
import torch

from psmt_viz.config import ModelConfig
from psmt_viz.models.build import build_networks
from psmt_viz.train.ema import ema_update
from tests.models.small_networks import CLASSES, TEACHERS, copied, same, settle


@pytest.fixture
def networks():
    """A student and two teachers with unlike weights, statistics and counters."""
    config = ModelConfig(backbone="test_resnet", pretrained=False, aspp_channels=4, aspp_rates=(1,), decoder_channels=4)
    made = build_networks(config, CLASSES, teachers=TEACHERS, teacher_start="random")
    for index, network in enumerate(made.by_role().values()):
        settle(network, index)
        for name, values in network.named_buffers():
            if name.endswith("num_batches_tracked"):
                values.fill_(100 * (index + 1))
    return made


@pytest.mark.parametrize(("name", "other_name"), [TEACHERS, TEACHERS[::-1]])
@pytest.mark.parametrize("keep", [0.996, 0.9, 0.3])
def test_ema_against_a_loop_over_parameters_and_buffers(networks, name, other_name, keep):
    teacher, student = networks.teachers[name], networks.student
    parts = (*dict(teacher.named_parameters()), *dict(teacher.named_buffers()))
    assert set(parts) == set(teacher.state_dict())
    before, source, other = copied(teacher), copied(student), copied(networks.teachers[other_name])
    expected, counters, moved = {}, 0, 0
    for part in parts:
        ours, theirs = before[part].flatten().tolist(), source[part].flatten().tolist()
        if before[part].dtype == torch.int64:
            expected[part], counters = theirs, counters + 1
        else:
            expected[part] = [keep * a + (1 - keep) * b for a, b in zip(ours, theirs, strict=True)]
            moved += expected[part] != ours
    assert counters > 5 and moved > 20
    ema_update(teacher, student, keep=keep)
    for part, values in copied(teacher).items():
        wanted = torch.tensor(expected[part], dtype=torch.float64).view(values.shape)
        if values.dtype == torch.int64:
            assert torch.equal(values, source[part]), part
        else:
            torch.testing.assert_close(values.double(), wanted, rtol=1e-6, atol=1e-7, msg=part)
    assert same(copied(student), source)
    assert same(copied(networks.teachers[other_name]), other)


def test_a_teacher_that_keeps_nothing_is_the_student(networks):
    ema_update(networks.teachers["teacher2"], networks.student, keep=0.0)
    assert same(copied(networks.teachers["teacher2"]), copied(networks.student))
