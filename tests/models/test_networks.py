import copy
import sys

import pytest
import torch
from torch import nn

from psmt_viz.errors import UserError
from psmt_viz.models import Adapted, Networks, load_model
from psmt_viz.models.deeplab import DeepLabV3Plus
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.models.psmt import PSMT
from psmt_viz.seeds import derived_seed
from tests.models.small_networks import CLASSES

MINE = """
import torch
from torch import nn
from psmt_viz.models import Adapted, Networks


class Net(nn.Module):
    def __init__(self, classes=5, channels=6):
        super().__init__()
        self.body, self.norm = nn.Conv2d(3, channels, 4, stride=4), nn.BatchNorm2d(channels)
        self.head = nn.Conv2d(channels, classes, 1)

    def encode(self, images):
        return self.norm(self.body(images))

    def decode(self, z, size):
        return self.head(z)


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 5, 1)


class Wide(Net):
    def __init__(self):
        super().__init__()
        self.double()


class Listing(Net):
    def encode(self, images):
        return [super().encode(images)]


def poisoned(value, place):
    network = Net()
    network.get_parameter(place).data.flatten()[0] = value
    return network


def nan(): return poisoned(float("nan"), "head.weight")
def inf(): return Net(), poisoned(float("inf"), "body.bias")
def statistics():
    network = Net()
    network.norm.running_var[2] = float("nan")
    return network
def three(): return Net(), Net(), Net()
def two(): return [Net(), Net()][0], Net()
def four(): return Net(), Net(), Net(), Net()
def empty(): return ()
def listed(): return [Net(), Net()]
def weights(): return Net().state_dict()
def nothing(): pass
def mixed(): return Net(), "teacher"
def demanding(path): return Net()
def defaults(path=None): return Net()
def broken(): return len(3)
def few(): return Net(4)
def teacher_of_another(): return Net(), Net(), Net(7)
def unlike(): return Net(), Net(channels=9)
def networks(): return Networks(Net(), [Net()], classes=["?"])
def ready(): return Adapted(Bare(), encode=lambda net, images: images, decode=lambda net, z, size: net.head(z))


instance = Net()
number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module of the user's in the working directory, which is not on Python's path."""
    name = f"models_of_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each not in ("", str(tmp_path))])
    yield name
    sys.modules.pop(name, None)


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
    return Net(multiple=12), Net(), Net()


@torch.no_grad()
@pytest.mark.parametrize(
    ("teachers", "roles"),
    [
        (0, ("student",)),
        (1, ("student", "teacher1")),
        (2, ("student", "teacher1", "teacher2", "ensemble")),
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
    own = {f"teacher{index}": nets[index].head(z) for index in (1, 2)} | {"student": nets[0].head(z)}
    own["ensemble"] = (own["teacher1"].double() + own["teacher2"].double()).float() / 2
    for first, second in (("student", "teacher1"), ("teacher1", "teacher2"), ("teacher1", "ensemble")):
        assert not torch.allclose(own[first], own[second], atol=1e-2)
    for role in roles:
        torch.testing.assert_close(made.decode(role, z, (4, 6)), own[role])
        assert made.decode(role, z, (16, 24)).shape == (2, 5, 16, 24)


def test_sides_go_up_to_the_students_multiple(nets):
    made, images = Networks(*nets[:1], nets[1:], classes=CLASSES), torch.rand(1, 3, 13, 30)
    z = encode_whole(made, images)
    assert z.shape == (1, 6, 24 // 4, 36 // 4)
    logits = decode_whole(made.student.decode, z, (13, 30), multiple=made.multiple)
    assert logits.shape == (1, 5, 13, 30)


def test_roles_that_are_not_there(nets):
    z = torch.zeros(1, 6, 2, 2)
    one = Networks(nets[0], nets[1:2], classes=CLASSES)
    for role in ("ensemble", "teacher2", "nobody"):
        message = rf"a run with {role}, got one with student, teacher1; .*give Networks its teachers"
        with pytest.raises(UserError, match=message):
            one.decode(role, z, (8, 8))


def test_a_third_teacher_and_a_network_without_seam_are_refused(nets):
    with pytest.raises(UserError, match="no teacher, one or two, got 3 teachers; choose two"):
        Networks(nets[0], [Net(), Net(), Net()], classes=CLASSES)
    for given in ((nn.Conv2d(3, 5, 1), []), (nets[0], [nn.Conv2d(3, 5, 1)])):
        with pytest.raises(UserError, match=r"with encode and decode, .*got Conv2d; pass Adapted\("):
            Networks(*given, classes=CLASSES)


@torch.no_grad()
def test_copies_in_float64_are_their_own(nets):
    made, images = Networks(nets[0], nets[1:], classes=CLASSES), torch.rand(1, 3, 8, 8)
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
    made = Networks(nets[0], nets[1:], classes=CLASSES)
    z = torch.rand(1, 6, 2, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(made.decode(role, z, (8, 8)).square().sum(), z)
    assert (slope != 0).all()


def test_a_run_is_roles_with_the_keys_that_its_weights_have(config):
    full = PSMT(config, CLASSES, seed=0)
    assert isinstance(full, Networks)
    own = list(DeepLabV3Plus(config, len(CLASSES)).state_dict())
    wanted = [f"{place}.{key}" for place in ("student", "teachers.0", "teachers.1") for key in own]
    assert list(full.state_dict()) == wanted
    assert list(PSMT(config, CLASSES, teachers=False).state_dict()) == wanted[: len(own)]
    assert full.multiple == 8
    assert all(type(network) is DeepLabV3Plus for network in full.by_role().values())


def test_each_network_of_a_run_has_the_head_of_its_own_stream(config):
    full = PSMT(config, CLASSES, seed=7)
    for role, names in (("student", ("student",)), ("teacher1", ("teacher", 0)), ("teacher2", ("teacher", 1))):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(7, *names))
            wanted = DeepLabV3Plus(config, len(CLASSES))
        for own, drawn in zip(full.by_role()[role].head_parameters(), wanted.head_parameters(), strict=True):
            assert torch.equal(own, drawn), role


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("Net", ("student",)),
        ("instance", ("student",)),
        ("defaults", ("student",)),
        ("ready", ("student",)),
        ("two", ("student", "teacher1")),
        ("networks", ("student", "teacher1")),
        ("three", ("student", "teacher1", "teacher2", "ensemble")),
    ],
)
def test_models_are_loaded_in_eval_mode(module, name, roles):
    made = load_model(f"{module}:{name}", CLASSES)
    assert type(made) is Networks
    assert made.roles == roles
    assert made.classes == CLASSES
    assert not any(part.training for part in made.modules())
    assert all(isinstance(network, Adapted) for network in made.by_role().values())
    # The trial changed no statistics.
    assert not any(values.any() for key, values in made.state_dict().items() if key.endswith("num_batches_tracked"))


def test_an_instance_is_used_not_copied(module):
    made = load_model(f"{module}:instance", CLASSES)
    assert made.student.network is sys.modules[module].instance


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", r"return a network or \(student, teacher, \.\.\.\) with up to two teachers, got NoneType"),
        ("weights", r"return a network or .*, got OrderedDict"),
        ("listed", r"return a network or .*, got list"),
        ("empty", r"return a network or .*, got \(\)"),
        ("four", r"return a network or .*, got \(Net, Net, Net, Net\)"),
        ("mixed", r"return a network or .*, got \(Net, str\); return networks"),
        ("number", r"number a network or a function that makes one, got int; make it callable as number\(\)"),
        ("demanding", r"called without arguments, got missing a required argument: 'path'; .*demanding\(\)"),
        ("Bare", r"encode and decode, or .*, got Bare; pass Adapted\("),
        ("nan", r"finite weights in --model .*:nan, got NaN or infinity in student\.network\.head\.weight"),
        ("inf", r"finite weights in --model .*:inf, got NaN or infinity in teachers\.0\.network\.body\.bias"),
        ("statistics", r"finite weights in .*, got NaN or infinity in student\.network\.norm\.running_var"),
        ("few", r"logits of 5 classes \(ground, tree, house, road, sky\), got 4 of the student; give the data"),
        ("teacher_of_another", r"logits of 5 classes .*, got 7 of the teacher2"),
        ("unlike", r"map a float32 image to logits, got RuntimeError: .*channels.*; .*teachers decode the student's z"),
        ("Wide", r"map a float32 image to logits, got RuntimeError: .*"),
        ("Listing", r"--model .*:Listing with z of encode as one tensor .*, got list of 1"),
        ("absent", r"a name absent for --model .*, got none in .*py"),
    ],
)
def test_models_that_cannot_serve(module, name, words):
    with pytest.raises(UserError, match=words) as caught:
        load_model(f"{module}:{name}", CLASSES)
    assert "\n" not in str(caught.value)


def test_a_name_of_another_form_shows_the_right_one(module):
    with pytest.raises(UserError, match=r"--model module:name, got .*; write it like my_models:make"):
        load_model(module, CLASSES)


def test_a_mistake_inside_the_function_is_told_in_one_line_with_its_cause(module):
    words = r"--model .*:broken to return a network, got TypeError: object of type 'int' has no len.*; call broken\(\)"
    with pytest.raises(UserError, match=words) as caught:
        load_model(f"{module}:broken", CLASSES)
    assert isinstance(caught.value.__cause__, TypeError)
