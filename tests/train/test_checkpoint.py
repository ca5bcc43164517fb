import math

import pytest
import torch

from psmt_viz.errors import UserError
from psmt_viz.train.checkpoint import load_state, save_state


def test_states_come_back_bit_by_bit(tmp_path):
    assert load_state(tmp_path) is None
    state = {
        "step": 17,
        "rows": [[1 / 7, math.nan], [0.5, math.inf]],
        "scale": {},
        "best": -math.inf,
        "metrics": [{"epoch": 1, "miou": math.nan, "third": 1 / 3}],
        "networks": {"weight": torch.randn(5), "count": torch.tensor(2**40)},
        "optimizers": {"student": {"state": {0: {"momentum_buffer": None}}, "param_groups": [{"lr": 0.1}]}},
    }
    save_state(tmp_path, state)
    back = load_state(tmp_path)
    assert back.keys() == state.keys()
    assert torch.equal(back["networks"]["weight"], state["networks"]["weight"])
    assert back["networks"]["count"] == 2**40
    assert (back["best"], back["optimizers"]) == (-math.inf, state["optimizers"])
    assert back["metrics"][0]["third"] == 1 / 3
    assert math.isnan(back["metrics"][0]["miou"])
    assert (back["step"], back["scale"], back["rows"][0][0], back["rows"][1]) == (17, {}, 1 / 7, [0.5, math.inf])
    assert math.isnan(back["rows"][0][1])
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_a_state_that_cannot_be_read(tmp_path):
    save_state(tmp_path, {"networks": {"weight": torch.randn(500)}})
    whole = (tmp_path / "state.pt").read_bytes()
    for content in (b"", b"no checkpoint", whole[: len(whole) // 2], whole[:-1], whole[:10]):
        (tmp_path / "state.pt").write_bytes(content)
        with pytest.raises(UserError, match=r"a whole checkpoint .*state\.pt, got .+; start again in another folder"):
            load_state(tmp_path)


def test_a_state_with_code_in_it_is_not_run(tmp_path):
    torch.save({"step": print}, tmp_path / "state.pt")
    with pytest.raises(UserError, match=r"a whole checkpoint .*Weights only load failed"):
        load_state(tmp_path)


def test_a_failed_save_keeps_the_last_state(tmp_path, monkeypatch):
    save_state(tmp_path, {"step": 1})

    def full_disk(state, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_state(tmp_path, {"step": 2})
    assert load_state(tmp_path) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]
