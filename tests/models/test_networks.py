import copy
import itertools

import pytest
import torch
from torch import nn

from psmt_viz.errors import UserError
from psmt_viz.models import Networks
from psmt_viz.models.build import build_networks
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.network import Network
from tests.models.small_networks import CLASSES, TEACHERS, copied, same


class Net(nn.Module):
    """A network of one's own."""

    def __init__(self, multiple=8):
        super().__init__()
        self.multiple = multiple
        self.body, self.head = nn.Conv2d(3, 6, 4, stride=4), nn.Conv2d(6, len(CLASSES), 1)

    def encode(self, images):
        return self.body(images)

    def decode(self, z, size):
        return self.head(z)


@pytest.fixture
def nets():
    torch.manual_seed(0)
    return Net(multiple=12), Net(), Net(), Net()


@torch.no_grad()
@pytest.mark.parametrize(
    ("teachers", "roles"),
    [
        (0, ("student",)),
        (1, ("student", "teacher")),
        (2, ("student", "teacher1", "teacher2", "ensemble")),
        (3, ("student", "teacher1", "teacher2", "teacher3", "ensemble")),
    ],
)
def test_everyone_decodes_the_students_z(nets, teachers, roles):
    made = Networks(nets[0], nets[1 : 1 + teachers], classes=list(CLASSES))
    assert made.roles == roles
    assert tuple(made.by_role()) == tuple(role for role in roles if role != "ensemble")
    assert made.classes == CLASSES
    assert made.multiple == 12
    images = torch.rand(2, 3, 16, 24)
    z = made.encode(images)
    assert torch.equal(z, nets[0].encode(images))
    own = {role: net.head(z) for role, net in zip(made.by_role(), nets, strict=False)}
    if "ensemble" in roles:
        own["ensemble"] = (sum(own[role].double() for role in made.teachers) / teachers).float()
    for first, second in itertools.combinations(roles, 2):
        assert not torch.allclose(own[first], own[second], atol=1e-2)
    for role in roles:
        torch.testing.assert_close(made.decode(role, z, (4, 6)), own[role])
        assert made.decode(role, z, (16, 24)).shape == (2, 5, 16, 24)


def test_sides_go_up_to_the_students_multiple(nets):
    made, images = Networks(nets[0], nets[1:3], classes=CLASSES), torch.rand(1, 3, 13, 30)
    z = encode_whole(made, images)
    assert z.shape == (1, 6, 24 // 4, 36 // 4)
    logits = decode_whole(made.student.decode, z, (13, 30), multiple=made.multiple)
    assert logits.shape == (1, 5, 13, 30)


def test_roles_that_are_not_there(nets):
    z = torch.zeros(1, 6, 2, 2)
    one = Networks(nets[0], nets[1:2], classes=CLASSES)
    for role in ("ensemble", "teacher1", "nobody"):
        message = rf"networks with {role}, got some with student, teacher; .*give Networks its teachers"
        with pytest.raises(UserError, match=message):
            one.decode(role, z, (8, 8))


def test_teachers_have_the_names_that_they_are_given(nets):
    made = Networks(nets[0], {"slow": nets[1], "fast": nets[2]}, classes=CLASSES)
    assert made.roles == ("student", "slow", "fast", "ensemble")
    assert made.teachers["fast"].network is nets[2]
    assert list(made.by_role()) == ["student", "slow", "fast"]
    assert all(isinstance(network, Network) for network in made.by_role().values())


@pytest.mark.parametrize("name", ["student", "ensemble", "teachers", "", "a.b", "1st", "two words"])
def test_names_that_no_teacher_can_have(nets, name):
    with pytest.raises(UserError, match=rf"names of teachers such as teacher or teacher1, got '{name}'; choose a name"):
        Networks(nets[0], {name: nets[1]}, classes=CLASSES)


def test_networks_without_a_split_point_are_refused(nets):
    for given in ((nn.Conv2d(3, 5, 1), []), (nets[0], [nn.Conv2d(3, 5, 1)])):
        with pytest.raises(UserError, match=r"with encode and decode, .*got Conv2d; say .*pass Adapted\("):
            Networks(*given, classes=CLASSES)


@torch.no_grad()
def test_copies_in_float64_are_their_own(nets):
    made, images = Networks(nets[0], nets[1:3], classes=CLASSES), torch.rand(1, 3, 8, 8)
    wide = copy.deepcopy(made).double()
    z = wide.encode(images.double())
    before = {role: made.decode(role, made.encode(images), (8, 8)) for role in made.roles}
    for role in made.roles:
        logits = wide.decode(role, z, (8, 8))
        assert logits.dtype == torch.float64
        torch.testing.assert_close(logits.float(), before[role], rtol=1e-4, atol=1e-5)
    for parameter in wide.parameters():
        parameter.zero_()
    for role in made.roles:
        assert torch.equal(made.decode(role, made.encode(images), (8, 8)), before[role])


@pytest.mark.parametrize("role", ["student", "teacher1", "teacher2", "ensemble"])
def test_the_gradient_flows_from_a_roles_logits_to_z(nets, role):
    made = Networks(nets[0], nets[1:3], classes=CLASSES)
    z = torch.rand(1, 6, 2, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(made.decode(role, z, (8, 8)).square().sum(), z)
    assert (slope != 0).all()


def test_a_run_is_roles_with_the_keys_that_its_weights_have(config):
    full = build_networks(config, CLASSES, teachers=TEACHERS, seed=0)
    assert isinstance(full, Networks)
    own = list(DeepLabV3Plus(config, len(CLASSES)).state_dict())
    wanted = [f"{place}.{key}" for place in ("student", "teachers.teacher1", "teachers.teacher2") for key in own]
    assert list(full.state_dict()) == wanted
    assert list(build_networks(config, CLASSES).state_dict()) == wanted[: len(own)]
    assert full.multiple == 8
    assert all(type(network) is DeepLabV3Plus for network in full.by_role().values())


def test_a_state_that_counts_its_teachers_finds_their_names(networks, config):
    """As checkpoints were written before teachers had names."""
    state = {
        key.replace("teachers.teacher1.", "teachers.0.").replace("teachers.teacher2.", "teachers.1."): values
        for key, values in copied(networks).items()
    }
    assert {key.split(".")[1] for key in state if key.startswith("teachers.")} == {"0", "1"}
    other = build_networks(config, CLASSES, teachers=TEACHERS, seed=9)
    assert not same(copied(other), copied(networks))
    other.load_state_dict(state)
    assert same(copied(other), copied(networks))
    third = {**state, "teachers.2.classifier.bias": state["student.classifier.bias"]}
    with pytest.raises(RuntimeError, match=r"Unexpected key.*teachers\.2\.classifier\.bias"):
        other.load_state_dict(third)


def test_networks_share_no_memory(networks):
    places = [values.data_ptr() for network in networks.by_role().values() for values in network.state_dict().values()]
    assert len(set(places)) == len(places)


@torch.no_grad()
def test_the_ensemble_is_the_mean_of_the_teachers_logits(networks, images):
    z = networks.student.encode(images)
    first, second = (teacher.decode(z, (65, 49)) for teacher in networks.teachers.values())
    assert not torch.allclose(first, second, atol=0.1)
    torch.testing.assert_close(
        networks.decode("ensemble", z, (65, 49)).double(), (first.double() + second.double()) / 2, rtol=1e-5, atol=1e-6
    )
    assert torch.equal(networks.decode("teacher1", z, (65, 49)), first)
    assert torch.equal(networks.decode("teacher2", z, (65, 49)), second)
    assert torch.equal(networks.decode("student", z, (65, 49)), networks.student(images))


def test_roles_that_a_run_does_not_have(networks, config):
    z = torch.zeros(1, 16, 2, 2)
    with pytest.raises(UserError, match="networks with teacher3, got some with student, teacher1, teacher2, ensemble"):
        networks.decode("teacher3", z, (8, 8))
    with pytest.raises(
        UserError, match="networks with ensemble, got some with student; choose one of them, or give Networks"
    ):
        build_networks(config, CLASSES).decode("ensemble", z, (8, 8))
