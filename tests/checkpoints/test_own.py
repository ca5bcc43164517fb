"""Weights of a file get into a network whatever wraps their keys, and averaged ones become its teacher."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from psmt_viz.checkpoints.own import with_weights
from psmt_viz.errors import UserError


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def state(seed, prefix=""):
    return {f"{prefix}{key}": value for key, value in network(seed).state_dict().items()}


def assert_weights(made, seed):
    for key, value in network(seed).state_dict().items():
        assert torch.equal(made.state_dict()[key], value), key


FILES = {
    "plain": lambda: state(1),
    "of several devices": lambda: state(1, "module."),
    "compiled": lambda: state(1, "_orig_mod."),
    "of a trainer": lambda: {"epoch": 3, "state_dict": state(1, "model."), "optimizer": {"lr": 0.1}},
    "with more beside": lambda: {"model": {**state(1, "module."), "aux.weight": torch.zeros(3)}},
}


@pytest.mark.parametrize("name", FILES)
def test_prefixes_and_nesting(tmp_path, name):
    torch.save(FILES[name](), tmp_path / "w.pt")
    (made,), _ = with_weights(network(), tmp_path / "w.pt")
    assert_weights(made, 1)


def test_safetensors(tmp_path):
    save_file(state(1), tmp_path / "w.safetensors")
    (made,), words = with_weights(network(), tmp_path / "w.safetensors")
    assert_weights(made, 1)
    assert words == "weights `of the file`"


@pytest.mark.parametrize("key", ["ema", "model_ema", "state_dict_ema", "teacher"])
def test_averaged_weights_become_a_teacher(tmp_path, key):
    torch.save({"model": state(1), key: state(2)}, tmp_path / "w.pt")
    (student, teacher), words = with_weights(network(), tmp_path / "w.pt")
    assert_weights(student, 1)
    assert_weights(teacher, 2)
    assert words == f"weights `model`, teacher `{key}`"


def test_averaged_weights_alone_are_the_student(tmp_path):
    torch.save({"ema": state(2)}, tmp_path / "w.pt")
    (student,), words = with_weights(network(), tmp_path / "w.pt")
    assert_weights(student, 2)
    assert words == "weights `ema`"


class Command:
    def __reduce__(self):
        return print, ("run",)


def test_files_that_do_not_fit(tmp_path, capsys):
    path = tmp_path / "w.pt"
    torch.save({**state(1), "0.weight": torch.zeros(4, 3, 3, 3)}, path)
    with pytest.raises(UserError, match=r"weights of Sequential in .*got 0\.weight of shape \(4, 3, 3, 3\), not"):
        with_weights(network(), path)
    torch.save({"encoder.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"got no 0\.weight, 0\.bias, 1\.weight, but for example encoder\.weight"):
        with_weights(network(), path)
    torch.save({"model": Command()}, path)
    with pytest.raises(UserError, match=r"one that wants .*print to be run"):
        with_weights(network(), path)
    assert "run" not in capsys.readouterr().out
    with pytest.raises(UserError, match="got nothing there"):
        with_weights(network(), tmp_path / "nowhere.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(UserError, match="a whole checkpoint"):
        with_weights(network(), tmp_path / "cut.safetensors")
