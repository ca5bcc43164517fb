import numpy as np
import pytest
import torch

from psmt_viz.checkpoints.states import numbers, placed, resnet_of, rows_of, state_of
from psmt_viz.errors import UserError


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_prefixes_of_wrappers_are_taken_away(prefix):
    assert state_of({f"{prefix}a.module.weight": 1}) == {"a.module.weight": 1}


@pytest.mark.parametrize("value", [3, [1], {1: 2}, None])
def test_what_is_no_state_is_empty(value):
    assert state_of(value) == {}


@pytest.mark.parametrize(("blocks", "expected"), [(6, "resnet50s"), (23, "resnet101s"), (5, None), (0, None)])
def test_the_third_stage_tells_the_depth(blocks, expected):
    keys = [f"net.layer3.{index}.conv{number}.weight" for index in range(blocks) for number in (1, 2)]
    assert resnet_of([*keys, "net.layer2.9.conv1.weight", "layer3.77.conv1.weight"], "net.") == expected


def test_rows_of_a_classifier():
    assert rows_of(torch.zeros(7, 3, 1, 1)) == 7
    assert [rows_of(value) for value in (None, torch.zeros(7), torch.zeros(0, 3, 1, 1), [1])] == [None] * 4


PLACES = {"a": ("student", "x"), "b": ("teacher", "x")}
OWN = {"x": torch.zeros(2, device="meta")}


def test_tensors_go_to_their_roles():
    state = {"a": torch.ones(2), "b": torch.zeros(2), "extra.c": torch.zeros(3)}
    found = placed(state, PLACES, OWN, unused=("extra.",), whose="Their net", path="file")
    assert found == {"student": {"x": state["a"]}, "teacher": {"x": state["b"]}}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"a": torch.ones(2)}, "no b"),
        ({"a": torch.ones(2), "b": torch.ones(2), "c": 1}, "unknown c"),
        ({"a": torch.ones(3), "b": torch.ones(2)}, r"a as float32 \(3,\), not float32 \(2,\)"),
        ({"a": torch.ones(2), "b": torch.ones(2).half()}, r"b as float16 \(2,\), not float32 \(2,\)"),
        ({"a": 3, "b": torch.ones(2)}, r"a as int, not float32 \(2,\)"),
        ({"c": 1, "d": 1, "e": 1}, "no a; no b; unknown c and 2 more"),
    ],
)
def test_tensors_that_do_not_fit(state, words):
    with pytest.raises(UserError, match=rf"the weights of Their net in file, got {words}; give a whole checkpoint"):
        placed(state, PLACES, OWN, whose="Their net", path="file")


def test_facts_are_finite_numbers():
    told = {"a": 3, "b": np.float64(0.5), "c": float("nan"), "d": None, "e": "x", "f": float("inf")}
    assert numbers(told) == {"a": 3, "b": 0.5}
    assert type(numbers(told)["b"]) is float
