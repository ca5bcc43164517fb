import sys

import pytest
from safetensors.torch import load_file

from psmt_viz.errors import UserError
from psmt_viz.models import Adapted, Networks, load_model, load_run
from tests.models.small_networks import CLASSES, same

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
def networks(): return Networks(Net(), {"helper": Net()}, classes=["?"])
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


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("Net", ("student",)),
        ("instance", ("student",)),
        ("defaults", ("student",)),
        ("ready", ("student",)),
        ("two", ("student", "teacher")),
        ("networks", ("student", "helper")),
        ("four", ("student", "teacher1", "teacher2", "teacher3", "ensemble")),
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
        ("nothing", r"return a network, \(student, teacher, \.\.\.\) or Networks, got NoneType"),
        ("weights", r"return a network, .*, got OrderedDict"),
        ("listed", r"return a network, .*, got list"),
        ("empty", r"return a network, .*, got \(\)"),
        ("mixed", r"return a network, .*, got \(Net, str\); return networks"),
        ("number", r"number a network or a function that makes one, got int; make it callable as number\(\)"),
        ("demanding", r"called without arguments, got missing a required argument: 'path'; .*demanding\(\)"),
        ("Bare", r"encode and decode, or .*, got Bare; say where to cut with --split-at MODULE, or pass Adapted\("),
        ("nan", r"finite weights in --model .*:nan, got NaN or infinity in student\.network\.head\.weight"),
        ("inf", r"finite weights in --model .*:inf, got NaN or infinity in teachers\.teacher\.network\.body\.bias"),
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


@pytest.mark.parametrize("weights", ["last", "best"])
def test_a_run_has_the_weights_that_are_asked_for(psmt_run, weights):
    networks = load_run(psmt_run, weights=weights)
    assert networks.roles == ("student", "teacher1", "teacher2", "ensemble")
    assert not any(part.training for part in networks.modules())
    stored = load_file(psmt_run / f"{weights}.safetensors")
    own = {
        f"{role}.{key}": value for role, net in networks.by_role().items() for key, value in net.state_dict().items()
    }
    assert same(own, stored)


def test_a_run_without_teachers_is_a_student(supervised_run):
    assert load_run(str(supervised_run)).roles == ("student",)


def test_weights_that_a_run_does_not_have(psmt_run):
    with pytest.raises(UserError, match=r"weights .*epoch-0001\.safetensors, got .*last\.safetensors"):
        load_run(psmt_run, weights="epoch-0001")
