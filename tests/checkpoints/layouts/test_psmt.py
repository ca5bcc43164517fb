import argparse
import hashlib
import json
from pathlib import Path

import pytest
import torch

from psmt_viz.checkpoints import read_checkpoint
from psmt_viz.checkpoints.layouts.psmt import export
from psmt_viz.checkpoints.states import keys_of
from psmt_viz.errors import UserError
from psmt_viz.presets import configure
from psmt_viz.runs import Origin, Run
from tests.authors import light_state, save, shapes

GOLDEN = json.loads((Path(__file__).parents[2] / "models" / "golden_psmt_deeplabv3plus.json").read_text())
UNUSED = tuple(f"encoder{mark}.head.last_conv." for mark in ("1", "2", "_s"))


@pytest.fixture
def changed(tmp_path):
    """Saves a good state with some entries changed, and those of None left out."""

    def make(**entries):
        state = light_state() | {key.replace("__", "."): value for key, value in entries.items()}
        return save(tmp_path / "changed.pth", {key: value for key, value in state.items() if value is not None})

    return make


@pytest.mark.parametrize("backbone", ["resnet50s", "resnet101s"])
def test_keys_and_shapes_are_the_authors_in_their_order(backbone):
    wanted = GOLDEN["layout"][backbone]
    lines = "".join(f"{key} {list(shape)}\n" for key, shape in shapes(backbone).items())
    assert len(shapes(backbone)) == wanted["keys"]
    assert hashlib.sha256(lines.encode()).hexdigest() == wanted["sha256"]


@pytest.mark.parametrize(("backbone", "classes"), [("resnet50s", 21), ("resnet101s", 19), ("resnet50s", 2)])
def test_depth_and_classes_are_read_from_the_shapes(tmp_path, backbone, classes):
    state = light_state(backbone, classes)
    found = read_checkpoint(save(tmp_path / "psmt.pth", state))
    assert (found.config.arch, found.config.backbone, found.config.pretrained) == (
        "psmt-deeplabv3plus",
        backbone,
        False,
    )
    assert (found.codebase, found.classes, found.teachers) == ("PS-MT", classes, ("teacher1", "teacher2"))
    assert found.facts == {"epoch": 80, "monitor_best": 0.7569, "labeled_examples": 1323}
    assert found.dropped == tuple(key for key in state if key.startswith(UNUSED))
    assert len(found.dropped) == 36
    assert sum(map(len, found.weights.values())) == len(state) - 36
    own = keys_of(found.config, classes)
    for weights in found.weights.values():
        assert own.keys() - weights.keys() == {"backbone.mean", "backbone.std"}
        assert all(weights[key].shape == own[key].shape for key in weights)


def test_each_tensor_goes_to_its_place(tmp_path):
    state = light_state()
    weights = read_checkpoint(save(tmp_path / "psmt.pth", state)).weights
    for role, mark in (("teacher1", "1"), ("teacher2", "2"), ("student", "_s")):
        for ours, theirs in (
            ("backbone.body.layer4.2.bn3.running_var", f"encoder{mark}.backbone.layer4.2.bn3.running_var"),
            ("aspp.map_convs.3.weight", f"encoder{mark}.head.aspp.map_convs.3.weight"),
            ("reduce.1.bias", f"encoder{mark}.head.reduce.1.bias"),
            ("decoder.0.0.weight", f"decoder{mark}.upsample.last_conv.0.weight"),
            ("decoder.1.1.running_mean", f"decoder{mark}.upsample.last_conv.4.running_mean"),
            ("classifier.bias", f"decoder{mark}.upsample.classifier.bias"),
        ):
            assert torch.equal(weights[role][ours], state[theirs]), theirs


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("bare", [False, True])
def test_a_bare_state_and_the_prefix_of_wrappers(tmp_path, prefix, bare):
    state, path = {prefix + key: value for key, value in light_state().items()}, tmp_path / "psmt.pth"
    torch.save(state, path) if bare else save(path, state)
    found = read_checkpoint(path)
    assert torch.equal(
        found.weights["student"]["classifier.bias"], state[prefix + "decoder_s.upsample.classifier.bias"]
    )
    assert found.facts == ({} if bare else {"epoch": 80, "monitor_best": 0.7569, "labeled_examples": 1323})


def test_what_is_never_used_may_be_missing(tmp_path):
    state = {key: value for key, value in light_state().items() if not key.startswith(UNUSED)}
    assert read_checkpoint(save(tmp_path / "psmt.pth", state)).dropped == ()


def test_a_score_that_is_no_number_is_left_out(tmp_path):
    path = save(tmp_path / "psmt.pth", light_state(), monitor_best=float("nan"), epoch=None, args=None)
    assert read_checkpoint(path).facts == {}


@pytest.mark.parametrize(
    ("classes", "labeled", "expected"),
    [
        (21, 662, ("voc", "1_16")),
        (21, 5291, ("voc", "1_2")),
        (21, 92, ("voc-classic", "92")),
        (21, 186, ("voc", "unknown")),
        (19, 186, ("cityscapes", "1_16")),
        (19, 1323, ("cityscapes", "unknown")),
        (7, 662, ("voc", "1_16")),
    ],
)
def test_the_preset_follows_from_classes_and_labelled_images(tmp_path, classes, labeled, expected):
    arguments = argparse.Namespace(labeled_examples=labeled)
    path = save(tmp_path / "psmt.pth", light_state(classes=classes), args=arguments)
    found = read_checkpoint(path)
    assert (found.preset, found.settings["split"], found.recipe) == (*expected, "official-code")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("encoder1.head.aspp.red_conv.weight", None, r"no encoder1\.head\.aspp\.red_conv\.weight"),
        ("decoder2.upsample.classifier.bias", None, r"no decoder2\.upsample\.classifier\.bias"),
        ("encoder1.head.aspp.extra", torch.zeros(1), r"unknown encoder1\.head\.aspp\.extra"),
        ("epoch", 3, "unknown epoch"),
        ("encoder2.backbone.bn1.bias", torch.zeros(64), r"bn1\.bias as float32 \(64,\), not float32 \(128,\)"),
        ("encoder2.backbone.bn1.bias", torch.zeros(128).half(), r"bn1\.bias as float16 \(128,\), not float32 \(128,\)"),
        ("encoder2.backbone.bn1.bias", [0.0] * 128, r"bn1\.bias as list, not float32 \(128,\)"),
        ("decoder1.upsample.classifier.weight", torch.zeros(19, 256, 1, 1), r"\(19, 256, 1, 1\), not float32 \(21,"),
    ],
)
def test_one_entry_that_does_not_fit(changed, key, value, words):
    message = rf"the weights of PS-MT's resnet50s in .*changed\.pth, got .*{words}.*; give a whole checkpoint"
    with pytest.raises(UserError, match=message) as caught:
        read_checkpoint(changed(**{key.replace(".", "__"): value}))
    assert "\n" not in str(caught.value)


def test_of_many_faults_the_first_three_are_named(tmp_path):
    state = {key: value for key, value in light_state().items() if not key.startswith("encoder2.backbone.")}
    with pytest.raises(UserError, match=r"(no encoder2\.\S+; ){2}no encoder2\S+ and 327 more; give"):
        read_checkpoint(save(tmp_path / "psmt.pth", state))


def test_a_half_without_the_rest(tmp_path):
    state = {"decoder_s.upsample.classifier.weight": torch.zeros(21, 256, 1, 1)}
    with pytest.raises(UserError, match=r"encoder_s and decoder_s of the authors' network in .*, got decoder_s"):
        read_checkpoint(save(tmp_path / "psmt.pth", state))


@pytest.mark.parametrize(
    ("preset", "method", "got"),
    [
        ("scenes", "psmt", "deeplabv3plus, psmt"),
        ("voc", "supervised", "psmt-deeplabv3plus, supervised"),
    ],
)
def test_runs_that_cannot_be_exported(tmp_path, preset, method, got):
    run = Run(
        folder=tmp_path,
        config=configure(preset, {"data": "scenes", "method": method}),
        classes=("a", "b"),
        plan={},
        data_fingerprint={},
        versions={},
    )
    with pytest.raises(UserError, match=rf"a run of --arch psmt-deeplabv3plus --method psmt, got {got}"):
        export(run, tmp_path / "out.pth")
    assert list(tmp_path.iterdir()) == []


def test_runs_without_two_teachers_cannot_be_exported(tmp_path):
    """Though their network is the authors' and their settings are PS-MT's."""
    run = Run(
        folder=tmp_path,
        config=configure("voc", {"data": "scenes"}),
        classes=("a", "b"),
        plan={},
        data_fingerprint={},
        versions={},
        imported_from=Origin(codebase="Other", method="other", teachers=("teacher",)),
    )
    with pytest.raises(UserError, match="--method psmt, got psmt-deeplabv3plus, other; choose such a run"):
        export(run, tmp_path / "out.pth")
