import pytest
import torch

from psmt_viz.checkpoints import import_checkpoint, read_checkpoint
from psmt_viz.checkpoints.states import keys_of
from psmt_viz.errors import UserError
from psmt_viz.models.load import load_run
from psmt_viz.runs import Origin, Run
from tests.authors import constant
from tests.unimatch import save, shapes


@pytest.fixture
def changed(tmp_path):
    """Saves a good state with some entries changed, and those of None left out."""

    def make(entries):
        state = constant(shapes()) | entries
        return save(tmp_path / "changed.pth", {key: value for key, value in state.items() if value is not None})

    return make


@pytest.mark.parametrize(("backbone", "classes"), [("resnet50s", 21), ("resnet101s", 19), ("resnet50s", 2)])
def test_depth_and_classes_are_read_from_the_shapes(tmp_path, backbone, classes):
    state = constant(shapes(backbone, classes))
    found = read_checkpoint(save(tmp_path / "unimatch.pth", state))
    assert (found.codebase, found.method, found.teachers) == ("UniMatch", "unimatch", ())
    assert (found.config.arch, found.config.backbone) == ("unimatch-deeplabv3plus", backbone)
    assert (found.classes, found.config.pretrained, found.dropped) == (classes, False, ())
    assert found.facts == {"epoch": 79, "previous_best": 75.25}
    assert type(found.facts["previous_best"]) is float
    own = keys_of(found.config, classes)
    weights = found.weights["student"]
    assert own.keys() - weights.keys() == {"backbone.mean", "backbone.std"}
    assert len(weights) == len(state)
    for theirs, ours in (
        ("backbone.layer4.2.bn3.running_var", "backbone.body.layer4.2.bn3.running_var"),
        ("head.b4.gap.1.weight", "head.b4.gap.1.weight"),
        ("fuse.4.bias", "fuse.4.bias"),
        ("classifier.bias", "classifier.bias"),
    ):
        assert torch.equal(weights[ours], state[theirs]), theirs


@pytest.mark.parametrize(
    ("classes", "preset", "window"), [(21, "voc", None), (19, "cityscapes", 801), (81, "voc", None)]
)
def test_cityscapes_is_seen_through_unimatchs_window(tmp_path, classes, preset, window):
    found = read_checkpoint(save(tmp_path / "unimatch.pth", constant(shapes(classes=classes))))
    assert (found.preset, found.settings.get("window")) == (preset, window)


@pytest.mark.parametrize("wrapped", ["", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers(tmp_path, wrapped):
    state = {f"{wrapped}{key}": values for key, values in constant(shapes()).items()}
    torch.save({"model": state, "epoch": 3}, tmp_path / "unimatch.pth")
    found = read_checkpoint(tmp_path / "unimatch.pth")
    assert torch.equal(found.weights["student"]["reduce.1.bias"], state[f"{wrapped}reduce.1.bias"])
    assert found.facts == {"epoch": 3}


def test_a_run_has_a_student_alone_and_says_where_it_is_from(tmp_path):
    state = constant(shapes())
    run, found = import_checkpoint(save(tmp_path / "unimatch.pth", state), tmp_path / "run")
    assert Run.open(run.folder) == run
    assert run.imported_from == Origin(codebase="UniMatch", method="unimatch", teachers=())
    assert (run.imported, run.measured, run.teachers) == (True, False, ())
    assert run.facts("voc")["method"] == run.method == "unimatch"
    assert run.data_fingerprint["previous_best"] == 75.25
    assert len(run.classes) == found.classes == 21
    networks = load_run(run.folder)
    assert networks.roles == ("student",)
    assert networks.multiple == 1
    own = networks.student.state_dict()
    assert torch.equal(own["fuse.3.weight"], state["fuse.3.weight"])
    assert own["backbone.mean"].flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    for file in run.folder.glob("*.safetensors"):
        file.unlink()  # 160 megabytes each


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"head.b2.0.weight": None}, r"no head\.b2\.0\.weight; give a whole checkpoint"),
        (
            {"head.b2.0.weight": torch.zeros(256, 2048, 1, 1)},
            r"head\.b2\.0\.weight as float32 \(256, 2048, 1, 1\), not f",
        ),
        ({"corr.conv1.weight": torch.zeros(1)}, r"unknown corr\.conv1\.weight"),
    ],
)
def test_one_entry_that_does_not_fit(changed, entries, words):
    with pytest.raises(UserError, match=rf"the weights of UniMatch's resnet50s in .*changed\.pth, got {words}"):
        read_checkpoint(changed(entries))


def test_other_backbones_are_refused(tmp_path):
    message = r"a backbone ResNet-50 or ResNet-101 of deep stem in .*\.pth, got backbone\."
    state = constant(shapes())
    plain = {key.replace("conv1.0.", "conv1.", 1): values for key, values in state.items()}
    with pytest.raises(UserError, match=message):
        read_checkpoint(save(tmp_path / "plain.pth", plain))
    xception = {key.replace("backbone.layer", "backbone.block", 1): values for key, values in state.items()}
    with pytest.raises(UserError, match=message):
        read_checkpoint(save(tmp_path / "xception.pth", xception))


def test_a_bare_state_with_its_names_is_not_its_file(tmp_path):
    """CorrMatch writes such states, of a network with other rates."""
    torch.save(constant(shapes()), tmp_path / "bare.pth")
    with pytest.raises(UserError, match=r"a checkpoint of PS-MT or UniMatch in .*, got the keys backbone\.conv1\.0"):
        read_checkpoint(tmp_path / "bare.pth")
