import argparse
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from psmt_viz.checkpoints import read_checkpoint
from psmt_viz.checkpoints.layouts import layouts
from psmt_viz.errors import UserError
from tests import unimatch
from tests.authors import constant, light_state, save


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (3, "int"),
        ([torch.zeros(2)], "list"),
        (torch.zeros(2), "Tensor"),
        ({"state_dict": [1]}, "the keys state_dict"),
        ({3: torch.zeros(1)}, "the keys 3"),
        ({}, r"the keys \(none\)"),
        ({"state_dict": {}, "epoch": 3}, "the keys state_dict, epoch"),
        ({"weight": torch.zeros(3)}, "the keys weight"),
        (dict.fromkeys("abcdef", 0), "the keys a, b, c"),
    ],
)
def test_files_of_no_codebase_that_is_known(tmp_path, value, got):
    torch.save(value, tmp_path / "other.pth")
    known = " or ".join(layout.CODEBASE for layout in layouts())
    message = rf"a checkpoint of {known} in .*other\.pth, got {got}; give the file that its training wrote"
    with pytest.raises(UserError, match=message):
        read_checkpoint(tmp_path / "other.pth")


def test_every_layout_knows_its_own_files_alone():
    known = {layout.CODEBASE: layout for layout in layouts()}
    assert len(known) == len(layouts())
    files = {
        "PS-MT": {"state_dict": light_state()},
        "UniMatch": {"model": constant(unimatch.shapes()), "previous_best": 75.25},
    }
    assert set(files) == set(known)
    for name, file in files.items():
        assert [each for each, layout in known.items() if layout.matches(file)] == [name]


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
        read_checkpoint(path)
    assert not mark.exists()
    assert "\x1b" not in str(caught.value)
    # The file is what it pretends to be.
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_what_is_let_through_is_let_through_nowhere_else(tmp_path):
    path = save(tmp_path / "psmt.pth", light_state())
    read_checkpoint(path)
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
    assert read_checkpoint(old).facts["monitor_best"] == 0.7569
    assert type(read_checkpoint(path).facts["monitor_best"]) is float
    assert isinstance(np.round(0.7, 4), np.float64)


@pytest.mark.parametrize("version", [1, 2])
def test_scores_of_either_numpy_are_read(version):
    """Cut-down files of UniMatch's code, written under NumPy 1 and 2; only their weights are missing."""
    with pytest.raises(UserError, match=r"got the keys model, optimizer, epoch; give the file"):
        read_checkpoint(Path(__file__).parent / f"scalar_numpy{version}.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_files_cut_short(tmp_path, legacy):
    path = tmp_path / "psmt.pth"
    torch.save({"state_dict": light_state()}, path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    read_checkpoint(path)
    for length in (0, 1, 5, 100, 5000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"checkpoint (of weights in )?\S*psmt\.pth, got ") as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value)


def test_files_of_another_kind(tmp_path):
    with pytest.raises(UserError, match=r"a checkpoint .*none\.pth, got nothing there; check the path"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(UserError, match=r"checkpoint .*, got "):
        read_checkpoint(tmp_path)
    for name, content in (("text", b"hello\nworld"), ("zeros", bytes(5000)), ("number", pickle.dumps(3, protocol=2))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"checkpoint .*{name}, got "):
            read_checkpoint(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(UserError, match=r"a whole checkpoint .*some\.zip, got "):
        read_checkpoint(tmp_path / "some.zip")
