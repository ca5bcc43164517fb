import pytest
import torch
from safetensors.torch import load_file

from psmt_viz.config import ModelConfig
from psmt_viz.errors import UserError
from psmt_viz.models.psmt import PSMT
from tests.models.small_networks import CLASSES


def copied(network):
    return {name: values.clone() for name, values in network.state_dict().items()}


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("keep", [0.996, 0.9, 0.3])
def test_ema_against_a_loop_over_parameters_and_buffers(networks, index, keep):
    teacher, student = networks.teachers[index], networks.student
    parts = (*dict(teacher.named_parameters()), *dict(teacher.named_buffers()))
    assert set(parts) == set(teacher.state_dict())
    before, source, other = copied(teacher), copied(student), copied(networks.teachers[1 - index])
    expected, counters, moved = {}, 0, 0
    for name in parts:
        ours, theirs = before[name].flatten().tolist(), source[name].flatten().tolist()
        if before[name].dtype == torch.int64:
            expected[name], counters = theirs, counters + 1
        else:
            expected[name] = [keep * a + (1 - keep) * b for a, b in zip(ours, theirs, strict=True)]
            moved += expected[name] != ours
    assert counters > 5 and moved > 20
    networks.update_teacher(index, keep)
    for name, values in copied(teacher).items():
        wanted = torch.tensor(expected[name], dtype=torch.float64).view(values.shape)
        if values.dtype == torch.int64:
            assert torch.equal(values, source[name]), name
        else:
            torch.testing.assert_close(values.double(), wanted, rtol=1e-6, atol=1e-7, msg=name)
    assert same(copied(student), source)
    assert same(copied(networks.teachers[1 - index]), other)


def test_a_teacher_that_keeps_nothing_is_the_student(networks):
    networks.update_teacher(1, 0.0)
    assert same(copied(networks.teachers[1]), copied(networks.student))


def test_teachers_share_the_backbones_start_but_no_head(config):
    networks = PSMT(config, CLASSES, seed=0)
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
        copied(network) for network in PSMT(config, CLASSES, teacher_start="random", seed=0).by_role().values()
    )
    _, *shared = (copied(network) for network in PSMT(config, CLASSES, seed=0).by_role().values())
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
    _, first, second = PSMT(config, CLASSES, teacher_start="random", seed=0).by_role().values()
    for network in (first, second):
        ratios = []
        for name, values in network.backbone.body.named_parameters():
            if values.ndim == 4:
                bound = values[0].numel() ** -0.5
                assert values.abs().max() <= bound, name
                ratios.append(float(values.detach().var()) / (bound**2 / 3))
        assert len(ratios) > 5 and sum(ratios) / len(ratios) == pytest.approx(1, abs=0.05)


def test_kaiming_heads_have_the_variance_of_he_and_the_student_keeps_torchs(config):
    student, first, second = PSMT(config, CLASSES, teacher_heads="kaiming", seed=0).by_role().values()
    for network, gain in ((student, 1 / 3), (first, 2.0), (second, 2.0)):
        inside = {id(parameter) for parameter in network.head_parameters()}
        weights = [values.detach() for values in network.parameters() if id(values) in inside and values.ndim == 4]
        ratios = [float(values.var() * values[0].numel()) for values in weights if values.numel() > 1000]
        assert len(ratios) > 3
        assert sum(ratios) / len(ratios) == pytest.approx(gain, rel=0.08)
    assert same(backbone(first), backbone(student))


def backbone(network):
    return network.backbone.state_dict()


def test_networks_share_no_memory(networks):
    places = [values.data_ptr() for network in networks.by_role().values() for values in network.state_dict().values()]
    assert len(set(places)) == len(places)


def test_weights_are_a_function_of_the_seed(config):
    torch.manual_seed(1)
    one = copied(PSMT(config, CLASSES, seed=4))
    torch.manual_seed(2)
    assert same(one, copied(PSMT(config, CLASSES, seed=4)))
    assert not same(one, copied(PSMT(config, CLASSES, seed=5)))


def test_construction_leaves_torchs_generator_alone(config):
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    PSMT(config, CLASSES, seed=4)
    assert torch.equal(torch.rand(4), expected)


def test_the_control_has_the_same_student_and_nobody_else(config):
    control, full = PSMT(config, CLASSES, teachers=False, seed=4), PSMT(config, CLASSES, seed=4)
    assert same(copied(control.student), copied(full.student))
    assert control.roles == ("student",)
    assert full.roles == ("student", "teacher1", "teacher2", "ensemble")


@torch.no_grad()
def test_the_ensemble_is_the_mean_of_the_teachers_logits(networks, images):
    z = networks.student.encode(images)
    first, second = (teacher.decode(z, (65, 49)) for teacher in networks.teachers)
    assert not torch.allclose(first, second, atol=0.1)
    torch.testing.assert_close(
        networks.decode("ensemble", z, (65, 49)).double(), (first.double() + second.double()) / 2, rtol=1e-5, atol=1e-6
    )
    assert torch.equal(networks.decode("teacher1", z, (65, 49)), first)
    assert torch.equal(networks.decode("teacher2", z, (65, 49)), second)
    assert torch.equal(networks.decode("student", z, (65, 49)), networks.student(images))


def test_roles_that_are_not_there(networks, config):
    z = torch.zeros(1, 16, 2, 2)
    with pytest.raises(UserError, match="a run with teacher3, got one with student, teacher1, teacher2, ensemble"):
        networks.decode("teacher3", z, (8, 8))
    with pytest.raises(UserError, match="a run with ensemble, got one with student; train it with --method psmt"):
        PSMT(config, CLASSES, teachers=False).decode("ensemble", z, (8, 8))


def test_saved_weights_come_back_bit_by_bit(networks, config, images, tmp_path):
    path = tmp_path / "last.safetensors"
    networks.save(path)
    other = PSMT(config, CLASSES, seed=99).eval()
    assert not same(copied(other), copied(networks))
    other.load(path)
    assert same(copied(other), copied(networks))
    with torch.no_grad():
        for role, network in networks.by_role().items():
            assert torch.equal(network(images), other.by_role()[role](images))
    again = tmp_path / "again.safetensors"
    other.save(again)
    assert again.read_bytes() == path.read_bytes()
    assert {key.split(".")[0] for key in load_file(path)} == {"student", "teacher1", "teacher2"}


def test_weights_that_cannot_be_loaded(networks, config, tmp_path):
    with pytest.raises(UserError, match=r"a weights file .*none\.safetensors, got nothing there"):
        networks.load(tmp_path / "none.safetensors")
    path = tmp_path / "last.safetensors"
    networks.save(path)
    whole = path.read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"whole weights in .*last\.safetensors, got .*; copy the file again"):
            networks.load(path)
    path.write_bytes(whole)
    wide = PSMT(ModelConfig(**{**vars(config), "decoder_channels": 13}), CLASSES)
    with pytest.raises(UserError, match=r"student's weights in .*, got .*size mismatch.*the run that they belong to"):
        wide.load(path)
    with pytest.raises(UserError, match=r"student's weights in .*size mismatch"):
        PSMT(config, (*CLASSES, "car")).load(path)
    PSMT(config, CLASSES, teachers=False).save(path)
    with pytest.raises(UserError, match=r"teacher1's weights in .*Missing key"):
        networks.load(path)
