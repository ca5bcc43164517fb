import pytest
import torch

from psmt_viz.architectures import ARCHITECTURES
from psmt_viz.config import ModelConfig
from psmt_viz.models.build import build, build_networks
from psmt_viz.models.network import Network
from psmt_viz.seeds import derived_seed
from tests.models.small_networks import CLASSES, TEACHERS, copied, same


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_is_built_by_its_name(arch):
    backbones = ARCHITECTURES[arch].backbones or ("resnet18",)
    for backbone in backbones:
        with torch.device("meta"):
            made = build(ModelConfig(arch=arch, backbone=backbone, pretrained=False), 7)
        assert isinstance(made, Network)
        assert ARCHITECTURES[arch].network.endswith(f":{type(made).__name__}")
        assert {"decoder", "logits"} <= set(made.layers())
        assert made.layers()["logits"].weight.shape[0] == 7


def test_teachers_share_the_backbones_start_but_no_head(config):
    networks = build_networks(config, CLASSES, teachers=TEACHERS, seed=0)
    first, *others = (copied(network) for network in networks.by_role().values())
    drawn = [name for name, values in first.items() if values.ndim == 4 and not name.startswith("backbone.")]
    assert len(drawn) > 5
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first if name.startswith("backbone."))
    for name in drawn:
        for a, b in ((first, others[0]), (first, others[1]), (others[0], others[1])):
            # Unrelated draws, not shifted or scaled copies.
            pair = torch.stack([a[name].flatten(), b[name].flatten()])
            assert abs(torch.corrcoef(pair)[0, 1]) < 5 / pair.shape[1] ** 0.5, name


def test_teachers_that_start_at_random_have_their_own_backbones_and_the_same_heads(config):
    first, *own = (
        copied(network)
        for network in build_networks(config, CLASSES, teachers=TEACHERS, teacher_start="random", seed=0)
        .by_role()
        .values()
    )
    _, *shared = (
        copied(network) for network in build_networks(config, CLASSES, teachers=TEACHERS, seed=0).by_role().values()
    )
    drawn = [name for name, values in first.items() if values.ndim == 4 and name.startswith("backbone.body.")]
    assert len(drawn) > 5
    for name in drawn:
        for a, b in ((first, own[0]), (first, own[1]), (own[0], own[1])):
            pair = torch.stack([a[name].flatten(), b[name].flatten()])
            assert abs(torch.corrcoef(pair)[0, 1]) < 5 / pair.shape[1] ** 0.5, name
    for ours, theirs in zip(own, shared, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours if not name.startswith("backbone."))


def test_random_backbones_are_drawn_as_torch_draws_layers(config):
    """Uniform within 1 / sqrt(fan-in), so of variance 1 / (3 fan-in); timm would draw from a normal distribution."""
    _, first, second = (
        build_networks(config, CLASSES, teachers=TEACHERS, teacher_start="random", seed=0).by_role().values()
    )
    for network in (first, second):
        ratios = []
        for name, values in network.backbone.body.named_parameters():
            if values.ndim == 4:
                bound = values[0].numel() ** -0.5
                assert values.abs().max() <= bound, name
                ratios.append(float(values.detach().var()) / (bound**2 / 3))
        assert len(ratios) > 5 and sum(ratios) / len(ratios) == pytest.approx(1, abs=0.05)


def test_kaiming_heads_have_the_variance_of_he_and_the_student_keeps_torchs(config):
    student, first, second = (
        build_networks(config, CLASSES, teachers=TEACHERS, teacher_heads="kaiming", seed=0).by_role().values()
    )
    for network, gain in ((student, 1 / 3), (first, 2.0), (second, 2.0)):
        inside = {id(parameter) for parameter in network.head_parameters()}
        weights = [values.detach() for values in network.parameters() if id(values) in inside and values.ndim == 4]
        ratios = [float(values.var() * values[0].numel()) for values in weights if values.numel() > 1000]
        assert len(ratios) > 3
        assert sum(ratios) / len(ratios) == pytest.approx(gain, rel=0.08)
    assert same(backbone(first), backbone(student))


def backbone(network):
    return network.backbone.state_dict()


def test_weights_are_a_function_of_the_seed(config):
    torch.manual_seed(1)
    one = copied(build_networks(config, CLASSES, teachers=TEACHERS, seed=4))
    torch.manual_seed(2)
    assert same(one, copied(build_networks(config, CLASSES, teachers=TEACHERS, seed=4)))
    assert not same(one, copied(build_networks(config, CLASSES, teachers=TEACHERS, seed=5)))


def test_construction_leaves_torchs_generator_alone(config):
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    build_networks(config, CLASSES, teachers=TEACHERS, seed=4)
    assert torch.equal(torch.rand(4), expected)


def test_the_control_has_the_same_student_and_nobody_else(config):
    control, full = build_networks(config, CLASSES, seed=4), build_networks(config, CLASSES, teachers=TEACHERS, seed=4)
    assert same(copied(control.student), copied(full.student))
    assert control.roles == ("student",)
    assert full.roles == ("student", "teacher1", "teacher2", "ensemble")


def test_each_network_of_a_run_has_the_head_of_its_own_stream(config):
    full = build_networks(config, CLASSES, teachers=TEACHERS, seed=7)
    for role, names in (("student", ("student",)), ("teacher1", ("teacher", 0)), ("teacher2", ("teacher", 1))):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(7, *names))
            wanted = build(config, len(CLASSES))
        for own, drawn in zip(full.by_role()[role].head_parameters(), wanted.head_parameters(), strict=True):
            assert torch.equal(own, drawn), role
