import argparse
import hashlib
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from psmt_viz.data.cityscapes import CITYSCAPES_CLASSES
from psmt_viz.data.voc import VOC_CLASSES
from psmt_viz.errors import UserError
from psmt_viz.models import exchange
from psmt_viz.models.build import build
from psmt_viz.models.exchange import OfficialCheckpoint, export_official, import_official, read_official
from psmt_viz.models.load import load_run
from psmt_viz.presets import configure
from psmt_viz.runs import Run
from tests.authors import light_state, save, shapes

GOLDEN = json.loads((Path(__file__).parent / "golden_psmt_deeplabv3plus.json").read_text())
UNUSED = tuple(f"encoder{mark}.head.last_conv." for mark in ("1", "2", "_s"))


@pytest.fixture
def light(monkeypatch):
    """Imports without networks: what they would hold is not written."""

    monkeypatch.setattr(OfficialCheckpoint, "networks", lambda self, names: None)
    monkeypatch.setattr(exchange, "save_weights", lambda networks, path: path.write_bytes(b"weights"))


@pytest.fixture
def changed(tmp_path):
    """Saves a good state with some entries changed, and those of None left out."""

    def make(**entries):
        state = light_state() | {key.replace("__", "."): value for key, value in entries.items()}
        return save(tmp_path / "changed.pth", {key: value for key, value in state.items() if value is not None})

    return make


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The state of a file and the run made of it."""
    folder = tmp_path_factory.mktemp("imported")
    path, state = folder / "official.pth", light_state()
    save(path, state)
    yield state, import_official(path, folder / "run")[0]
    shutil.rmtree(folder / "run")  # a gigabyte


@pytest.mark.parametrize("backbone", ["resnet50s", "resnet101s"])
def test_keys_and_shapes_are_the_authors_in_their_order(backbone):
    wanted = GOLDEN["layout"][backbone]
    lines = "".join(f"{key} {list(shape)}\n" for key, shape in shapes(backbone).items())
    assert len(shapes(backbone)) == wanted["keys"]
    assert hashlib.sha256(lines.encode()).hexdigest() == wanted["sha256"]


@pytest.mark.parametrize(("backbone", "classes"), [("resnet50s", 21), ("resnet101s", 19), ("resnet50s", 2)])
def test_depth_and_classes_are_read_from_the_shapes(tmp_path, backbone, classes):
    state = light_state(backbone, classes)
    found = read_official(save(tmp_path / "official.pth", state))
    assert (found.config.arch, found.config.backbone, found.config.pretrained) == (
        "psmt-deeplabv3plus",
        backbone,
        False,
    )
    assert found.classes == classes
    assert found.facts == {"epoch": 80, "monitor_best": 0.7569, "labeled_examples": 1323}
    assert found.dropped == tuple(key for key in state if key.startswith(UNUSED))
    assert len(found.dropped) == 36
    assert sum(map(len, found.weights.values())) == len(state) - 36
    with torch.device("meta"):
        own = build(found.config, classes).state_dict()
    for weights in found.weights.values():
        assert own.keys() - weights.keys() == {"backbone.mean", "backbone.std"}
        assert all(weights[key].shape == own[key].shape for key in weights)


def test_each_tensor_goes_to_its_place(tmp_path):
    state = light_state()
    weights = read_official(save(tmp_path / "official.pth", state)).weights
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
    state, path = {prefix + key: value for key, value in light_state().items()}, tmp_path / "official.pth"
    torch.save(state, path) if bare else save(path, state)
    found = read_official(path)
    assert torch.equal(
        found.weights["student"]["classifier.bias"], state[prefix + "decoder_s.upsample.classifier.bias"]
    )
    assert found.facts == ({} if bare else {"epoch": 80, "monitor_best": 0.7569, "labeled_examples": 1323})


def test_what_is_never_used_may_be_missing(tmp_path):
    state = {key: value for key, value in light_state().items() if not key.startswith(UNUSED)}
    assert read_official(save(tmp_path / "official.pth", state)).dropped == ()


def test_a_score_that_is_no_number_is_left_out(tmp_path):
    path = save(tmp_path / "official.pth", light_state(), monitor_best=float("nan"), epoch=None, args=None)
    assert read_official(path).facts == {}


def test_an_imported_run_is_loaded_and_exported_bit_by_bit(imported, tmp_path):
    state, run = imported
    networks = load_run(run.folder)
    assert networks.roles == ("student", "teacher1", "teacher2", "ensemble")
    assert networks.classes == run.classes == VOC_CLASSES
    assert not any(module.training for module in networks.modules())
    for role, mark in (("teacher1", "1"), ("teacher2", "2"), ("student", "_s")):
        own = networks.by_role()[role].state_dict()
        assert torch.equal(own["aspp.red_bn.bias"], state[f"encoder{mark}.head.aspp.red_bn.bias"])
        assert torch.equal(own["classifier.weight"], state[f"decoder{mark}.upsample.classifier.weight"])
    assert (run.folder / "best.safetensors").read_bytes() == (run.folder / "last.safetensors").read_bytes()

    path = tmp_path / "again.pth"
    export_official(run, path)
    again = torch.load(path, weights_only=True)
    path.unlink()
    assert {name: again[name] for name in ("epoch", "monitor_best")} == {"epoch": 80, "monitor_best": 0.7569}
    assert list(again["state_dict"]) == list(state)
    for key, value in again["state_dict"].items():
        decoders = key.replace("encoder", "decoder").replace("head.last_conv", "upsample.last_conv")
        wanted = state[decoders if key.startswith(UNUSED) else key]
        assert value.dtype == wanted.dtype and torch.equal(value, wanted), key


def test_the_facts_of_an_imported_run(imported):
    run = Run.open(imported[1].folder)
    assert run == imported[1]
    assert (run.config.preset, run.config.recipe) == ("voc", "official-code")
    assert (run.config.data.split, run.config.method.ramp) == ("1_8", "cosine")
    assert (run.config.model.arch, run.config.model.backbone) == ("psmt-deeplabv3plus", "resnet50s")
    assert not run.config.model.pretrained
    assert run.data_fingerprint["imported"] == "official.pth"
    assert not run.measured
    with pytest.raises(UserError, match="imported one has none"):
        run.curves()


@pytest.mark.parametrize(
    ("classes", "labeled", "expected"),
    [
        (21, 662, ("voc", "1_16", None)),
        (21, 5291, ("voc", "1_2", None)),
        (21, 92, ("voc-classic", "92", None)),
        (21, 186, ("voc", "unknown", None)),
        (19, 186, ("cityscapes", "1_16", 800)),
        (19, 1323, ("cityscapes", "unknown", 800)),
        (7, 662, ("voc", "1_16", None)),
    ],
)
def test_the_preset_follows_from_classes_and_labelled_images(light, tmp_path, classes, labeled, expected):
    arguments = argparse.Namespace(labeled_examples=labeled)
    path = save(tmp_path / "official.pth", light_state(classes=classes), args=arguments)
    run, _ = import_official(path, tmp_path / "run")
    assert (run.config.preset, run.config.data.split, run.config.views.window) == expected


@pytest.mark.parametrize(
    ("count", "given", "expected"),
    [
        (21, (), VOC_CLASSES),
        (19, (), CITYSCAPES_CLASSES),
        (3, (), ("class_0", "class_1", "class_2")),
        (3, ("sky", "sea", "land"), ("sky", "sea", "land")),
    ],
)
def test_class_names(light, tmp_path, count, given, expected):
    path = save(tmp_path / "official.pth", light_state(classes=count))
    run, _ = import_official(path, tmp_path / "run", classes=given)
    assert Run.open(run.folder).classes == expected
    assert run.config.data.data == "scenes"


def test_class_names_of_a_data_set(light, blocks_folder, tmp_path):
    path = save(tmp_path / "official.pth", light_state(classes=6))
    run, _ = import_official(path, tmp_path / "all", data=str(blocks_folder))
    assert run.classes == ("background", "red", "green", "blue", "yellow", "white")
    assert (run.config.data.data, run.config.data.classes) == (str(blocks_folder), ())
    some = ("white", "blue", "red")
    path = save(tmp_path / "official.pth", light_state(classes=3))
    run, _ = import_official(path, tmp_path / "some", data=str(blocks_folder), classes=some)
    assert run.classes == run.config.data.classes == some
    with pytest.raises(UserError, match=r"3 classes, as .*official\.pth has, got 6: background, red"):
        import_official(path, tmp_path / "none", data=str(blocks_folder))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c", "d"), ("a", "b", "a")])
def test_names_that_do_not_fit(light, tmp_path, names):
    path = save(tmp_path / "official.pth", light_state(classes=3))
    with pytest.raises(UserError, match=rf"3 classes, as .*official.pth has, got {len(names)}: a, b.*--classes"):
        import_official(path, tmp_path / "run", classes=names)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_not_overwritten(light, tmp_path):
    path = save(tmp_path / "official.pth", light_state())
    import_official(path, tmp_path / "run")
    with pytest.raises(UserError, match=r"no run in .*run, got one that is there already; give another --out"):
        import_official(path, tmp_path / "run")


# Files that are no such checkpoint.


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
    message = rf"the weights of the authors' resnet50s in .*changed\.pth, got .*{words}.*; give a checkpoint of PS-MT"
    with pytest.raises(UserError, match=message) as caught:
        read_official(changed(**{key.replace(".", "__"): value}))
    assert "\n" not in str(caught.value)


def test_of_many_faults_the_first_three_are_named(tmp_path):
    state = {key: value for key, value in light_state().items() if not key.startswith("encoder2.backbone.")}
    with pytest.raises(UserError, match=r"(no encoder2\.\S+; ){2}no encoder2\S+ and 327 more; give"):
        read_official(save(tmp_path / "official.pth", state))


@pytest.mark.parametrize(
    "state",
    [{}, {"weight": torch.zeros(3)}, {"decoder_s.upsample.classifier.weight": torch.zeros(21, 256, 1, 1)}],
)
def test_weights_of_other_networks(tmp_path, state):
    with pytest.raises(UserError, match=r"encoder_s and decoder_s of the authors' network in .*official\.pth"):
        read_official(save(tmp_path / "official.pth", state))


@pytest.mark.parametrize("value", [3, [torch.zeros(2)], torch.zeros(2), {"state_dict": [1]}, {3: torch.zeros(1)}])
def test_what_holds_no_state(tmp_path, value):
    torch.save(value, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"a state_dict in .*other\.pth, got \w+; give a checkpoint of PS-MT"):
        read_official(tmp_path / "other.pth")


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["state_dict", "args", "bare"])
@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, place, legacy):
    mark, path = tmp_path / "was-run", tmp_path / "evil.pth"
    content = Evil(mark) if place == "bare" else {"state_dict": {}, "args": None, place: Evil(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        UserError, match=r"got one that wants posix\.mkdir to be run; give one that you trust"
    ) as caught:
        read_official(path)
    assert not mark.exists()
    assert "\x1b" not in str(caught.value)
    # The file is what it pretends to be.
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_what_is_let_through_is_let_through_nowhere_else(tmp_path):
    path = save(tmp_path / "official.pth", light_state())
    read_official(path)
    assert argparse.Namespace not in torch.serialization.get_safe_globals()
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_numpys_float_of_either_name(tmp_path, monkeypatch):
    path = save(tmp_path / "new.pth", light_state())
    old = tmp_path / "old.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(old, "w", zipfile.ZIP_STORED) as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith("data.pkl"):
                assert content.count(b"cnumpy._core.multiarray\n") == 1
                content = content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
            target.writestr(entry, content)
    assert read_official(old).facts["monitor_best"] == 0.7569
    assert type(read_official(path).facts["monitor_best"]) is float
    assert isinstance(np.round(0.7, 4), np.float64)


@pytest.mark.parametrize("legacy", [False, True])
def test_files_cut_short(tmp_path, legacy):
    path = tmp_path / "official.pth"
    torch.save({"state_dict": light_state()}, path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    read_official(path)
    for length in (0, 1, 5, 100, 5000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"checkpoint (of weights in )?\S*official\.pth, got ") as caught:
            read_official(path)
        assert "\n" not in str(caught.value)


def test_files_of_another_kind(tmp_path):
    with pytest.raises(UserError, match=r"a checkpoint .*none\.pth, got nothing there; check the path"):
        read_official(tmp_path / "none.pth")
    with pytest.raises(UserError, match=r"checkpoint .*, got "):
        read_official(tmp_path)
    for name, content in (("text", b"hello\nworld"), ("zeros", bytes(5000)), ("number", pickle.dumps(3, protocol=2))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"(checkpoint|state_dict) .*{name}, got "):
            read_official(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(UserError, match=r"a whole checkpoint .*some\.zip, got "):
        read_official(tmp_path / "some.zip")


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
        export_official(run, tmp_path / "out.pth")
    assert list(tmp_path.iterdir()) == []
