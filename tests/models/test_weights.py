import pytest
import torch
from safetensors.torch import load_file

from psmt_viz.config import ModelConfig
from psmt_viz.errors import UserError
from psmt_viz.models.build import build_networks
from psmt_viz.models.weights import load_weights, save_weights
from tests.models.small_networks import CLASSES, TEACHERS, copied, same


def test_saved_weights_come_back_bit_by_bit(networks, config, images, tmp_path):
    path = tmp_path / "last.safetensors"
    save_weights(networks, path)
    other = build_networks(config, CLASSES, teachers=TEACHERS, seed=99).eval()
    assert not same(copied(other), copied(networks))
    load_weights(other, path)
    assert same(copied(other), copied(networks))
    with torch.no_grad():
        for role, network in networks.by_role().items():
            assert torch.equal(network(images), other.by_role()[role](images))
    again = tmp_path / "again.safetensors"
    save_weights(other, again)
    assert again.read_bytes() == path.read_bytes()
    assert {key.split(".")[0] for key in load_file(path)} == {"student", "teacher1", "teacher2"}


def test_weights_that_cannot_be_loaded(networks, config, tmp_path):
    with pytest.raises(UserError, match=r"a weights file .*none\.safetensors, got nothing there"):
        load_weights(networks, tmp_path / "none.safetensors")
    path = tmp_path / "last.safetensors"
    save_weights(networks, path)
    whole = path.read_bytes()
    for length in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"whole weights in .*last\.safetensors, got .*; copy the file again"):
            load_weights(networks, path)
    path.write_bytes(whole)
    wide = build_networks(ModelConfig(**{**vars(config), "decoder_channels": 13}), CLASSES)
    with pytest.raises(UserError, match=r"student's weights in .*, got .*size mismatch.*the run that they belong to"):
        load_weights(wide, path)
    with pytest.raises(UserError, match=r"student's weights in .*size mismatch"):
        load_weights(build_networks(config, (*CLASSES, "car"), teachers=TEACHERS), path)
    save_weights(build_networks(config, CLASSES), path)
    with pytest.raises(UserError, match=r"teacher1's weights in .*Missing key"):
        load_weights(networks, path)
