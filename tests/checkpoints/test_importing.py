import json
import shutil

import pytest
import torch

from psmt_viz.checkpoints import Checkpoint, import_checkpoint, importing
from psmt_viz.checkpoints.layouts.psmt import export
from psmt_viz.data.cityscapes import CITYSCAPES_CLASSES
from psmt_viz.data.voc import VOC_CLASSES
from psmt_viz.errors import UserError
from psmt_viz.models.load import load_run
from psmt_viz.runs import Origin, Run
from tests.authors import light_state, save

UNUSED = tuple(f"encoder{mark}.head.last_conv." for mark in ("1", "2", "_s"))


@pytest.fixture
def light(monkeypatch):
    """Imports without networks: what they would hold is not written."""

    monkeypatch.setattr(Checkpoint, "networks", lambda self, names: None)
    monkeypatch.setattr(importing, "save_weights", lambda networks, path: path.write_bytes(b"weights"))


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The state of a file and the run made of it."""
    folder = tmp_path_factory.mktemp("imported")
    path, state = folder / "psmt.pth", light_state()
    save(path, state)
    yield state, import_checkpoint(path, folder / "run")[0]
    shutil.rmtree(folder / "run")  # a gigabyte


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
    export(run, path)
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
    assert run.data_fingerprint["imported"] == "psmt.pth"
    assert run.imported_from == Origin(codebase="PS-MT", method="psmt", teachers=("teacher1", "teacher2"))
    assert (run.imported, run.measured, run.method) == (True, False, "psmt")
    assert run.facts("voc")["method"] == "psmt"
    with pytest.raises(UserError, match="imported one has none"):
        run.curves()


@pytest.mark.parametrize(("count", "expected"), [(21, ("voc", None)), (19, ("cityscapes", 800))])
def test_settings_are_those_of_the_preset(light, tmp_path, count, expected):
    path = save(tmp_path / "psmt.pth", light_state(classes=count))
    run, _ = import_checkpoint(path, tmp_path / "run")
    assert (run.config.preset, run.config.views.window) == expected


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
    path = save(tmp_path / "psmt.pth", light_state(classes=count))
    run, _ = import_checkpoint(path, tmp_path / "run", classes=given)
    assert Run.open(run.folder).classes == expected
    assert run.config.data.data == "scenes"


def test_class_names_of_a_data_set(light, blocks_folder, tmp_path):
    path = save(tmp_path / "psmt.pth", light_state(classes=6))
    run, _ = import_checkpoint(path, tmp_path / "all", data=str(blocks_folder))
    assert run.classes == ("background", "red", "green", "blue", "yellow", "white")
    assert (run.config.data.data, run.config.data.classes) == (str(blocks_folder), ())
    some = ("white", "blue", "red")
    path = save(tmp_path / "psmt.pth", light_state(classes=3))
    run, _ = import_checkpoint(path, tmp_path / "some", data=str(blocks_folder), classes=some)
    assert run.classes == run.config.data.classes == some
    with pytest.raises(UserError, match=r"3 classes, as .*psmt\.pth has, got 6: background, red"):
        import_checkpoint(path, tmp_path / "none", data=str(blocks_folder))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c", "d"), ("a", "b", "a")])
def test_names_that_do_not_fit(light, tmp_path, names):
    path = save(tmp_path / "psmt.pth", light_state(classes=3))
    with pytest.raises(UserError, match=rf"3 classes, as .*psmt.pth has, got {len(names)}: a, b.*--classes"):
        import_checkpoint(path, tmp_path / "run", classes=names)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_not_overwritten(light, tmp_path):
    path = save(tmp_path / "psmt.pth", light_state())
    import_checkpoint(path, tmp_path / "run")
    with pytest.raises(UserError, match=r"no run in .*run, got one that is there already; give another --out"):
        import_checkpoint(path, tmp_path / "run")


def test_imported_folders_of_earlier_versions_do_not_tell_whose_they_are(light, tmp_path):
    path = save(tmp_path / "psmt.pth", light_state())
    run, _ = import_checkpoint(path, tmp_path / "run")
    facts = json.loads((run.folder / "config.json").read_text())
    assert facts.pop("imported_from") == {"codebase": "PS-MT", "method": "psmt", "teachers": ["teacher1", "teacher2"]}
    (run.folder / "config.json").write_text(json.dumps(facts))
    before = Run.open(run.folder)
    assert before.imported_from is None
    assert (before.imported, before.teachers, before.method) == (True, ("teacher1", "teacher2"), "psmt")
