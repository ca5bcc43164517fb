import math

import pytest
import torch

from psmt_viz.errors import UserError
from psmt_viz.train.checkpoint import load_state, save_state


def test_states_come_back_bit_by_bit(tmp_path):
    assert load_state(tmp_path) is None
    state = {
        "step": 17,
        "rows": [{"loss_sup": 1 / 7, "share": math.nan}, {"loss_sup": 0.5, "share": math.inf}],
        "scale": {},
        "best": -math.inf,
        "metrics": [{"epoch": 1, "miou": math.nan, "third": 1 / 3}],
        "networks": {"student": {"weight": torch.randn(5), "count": torch.tensor(2**40)}},
        "optimizers": {"student": {"state": {0: {"momentum_buffer": None}}, "param_groups": [{"lr": 0.1}]}},
    }
    save_state(tmp_path, state)
    back = load_state(tmp_path)
    assert back.keys() == state.keys()
    assert torch.equal(back["networks"]["student"]["weight"], state["networks"]["student"]["weight"])
    assert back["networks"]["student"]["count"] == 2**40
    assert (back["best"], back["optimizers"]) == (-math.inf, state["optimizers"])
    assert back["metrics"][0]["third"] == 1 / 3
    assert math.isnan(back["metrics"][0]["miou"])
    assert (back["step"], back["scale"], back["rows"][1]) == (17, {}, {"loss_sup": 0.5, "share": math.inf})
    assert back["rows"][0]["loss_sup"] == 1 / 7 and math.isnan(back["rows"][0]["share"])
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_a_state_of_an_earlier_version_is_read_as_one_of_now(tmp_path):
    weights = {name: torch.randn(3) for name in ("student.a.b", "teachers.0.a.b", "teachers.1.a.b")}
    rows = [[0.5, math.nan, math.nan, math.nan, 0.0, 0.1], [0.4, 0.3, 0.2, 0.1, 1.5, 0.05]]
    save_state(tmp_path, {"step": 3, "rows": rows, "networks": weights})
    back = load_state(tmp_path)
    warmup = {"loss_sup": 0.5, "unsup_weight": 0.0, "learning_rate": 0.1}
    shares = {"confident_fraction": 0.2, "teacher_disagreement": 0.1}
    later = {"loss_sup": 0.4, "loss_unsup": 0.3, **shares, "unsup_weight": 1.5, "learning_rate": 0.05}
    assert back["rows"] == [warmup, later]
    assert list(back["networks"]) == ["student", "teacher1", "teacher2"]
    for role, old in zip(back["networks"], weights.values(), strict=True):
        assert torch.equal(back["networks"][role]["a.b"], old)


def test_a_state_that_cannot_be_read(tmp_path):
    save_state(tmp_path, {"networks": {"student": {"weight": torch.randn(500)}}})
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
