"""The command that compares with the published code: exit statuses and files that cannot be used."""

from __future__ import annotations

import copy
import json
import sys

import against_published
import pytest
import torch
from published.document import read
from published.report import BEYOND

from tests.analysis.trimmed_files import FOLDER, stated


def run(monkeypatch, capsys, *files):
    monkeypatch.setattr(sys, "argv", ["against_published.py", *map(str, files)])
    with pytest.raises(SystemExit) as stop:
        against_published.main()
    seen = capsys.readouterr()
    return stop.value.code, seen.out, seen.err


def test_all_within_their_tolerances_is_status_0(monkeypatch, capsys):
    status, out, err = run(monkeypatch, capsys, FOLDER / "lengths.json", FOLDER / "noise.json")
    assert (status, err) == (0, "")
    heads = [line.split() for line in out.splitlines() if line.startswith("piece")]
    assert heads == [["piece", "difference", "tolerance", "verdict"]] * 2
    assert BEYOND not in out


def test_it_computes_in_one_thread_whatever_is_set(monkeypatch, capsys):
    """The stated numbers were summed by one; several would be beyond the tolerances of float32."""
    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(
        against_published, "checks_of", lambda document: (lambda *_: seen.append(torch.get_num_threads()),)
    )
    torch.set_num_threads(2)
    try:
        run(monkeypatch, capsys, FOLDER / "lengths.json")
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("order", [1, -1])
def test_one_beyond_its_tolerance_is_status_1(monkeypatch, capsys, tmp_path, order):
    document = copy.deepcopy(stated("lengths"))
    document["rows"][0]["total_steps"] += 1
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(document))
    status, out, _ = run(monkeypatch, capsys, *[wrong, FOLDER / "lengths.json"][::order])
    assert status == 1
    assert out.count(BEYOND) == 2  # the row and the summary


BAD = {
    "nothing there": None,
    "JSON": "{",
    "a JSON object": "[]",
    "`file` one of": '{"file": "golden_else"}',
    "no `file`": "{}",
    "'rows'": '{"file": "golden_lengths"}',
    "stated outputs": '{"file": "golden_lengths", "rows": []}',
    "a whole number": '{"file": "golden_lengths", "rows": [{"preset": "voc-classic", '
    '"batch_per_gpu": "8 labelled + 8 unlabelled", "gpus": 1.5}]}',
    "one of voc": '{"file": "golden_lengths", "rows": [{"preset": "coco"}]}',
    "'rule'": '{"file": "golden_step"}',
    "small|B=2": '{"file": "golden_noise", "rule": {}, "cases": {"large": {}}}',
    "a text": '{"file": 3}',
    "50 or 101": '{"backbone": 7, "weight_seed_base": 1}',
    "a finite number": '{"file": "golden_views", "rule": {}, "padding_value_rgb": ["red"]}',
    "finite": '{"file": "golden_views", "rule": {}, "padding_value_rgb": [NaN, 1, 1]}',
}


@pytest.mark.parametrize("expected", BAD)
def test_a_file_that_cannot_be_used_is_one_line_and_status_2(monkeypatch, capsys, tmp_path, expected):
    path = tmp_path / "bad.json"
    if BAD[expected] is not None:
        path.write_text(BAD[expected])
    status, out, err = run(monkeypatch, capsys, path)
    assert (status, out) == (2, "")
    assert err.startswith("error: expected ")
    assert err.count("\n") == 1
    assert expected in err
    assert "bad.json" in err


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("noise", ("cases", "small|B=2|xi=0.01|float64", "norm", [1.0])),
        ("noise", ("cases", "small|B=2|xi=0.01|float64", "r_first5_image0", [1.0])),
        ("noise", ("rule", "small", "other words")),
        ("views", ("resize_examples", 0, "result_hw", [0, 1])),
        ("views", ("rule", "resize_examples", "no seed")),
        ("val", ("rule", "sliding_network", "conv")),
        ("val", ("sliding_windows", 0, "summed_logits", {"900,0": [1.0]})),
    ],
)
def test_a_damaged_file_is_status_2(monkeypatch, capsys, tmp_path, name, damage):
    *place, value = damage
    document = copy.deepcopy(stated(name))
    for part in ("geometry_voc", "geometry_cityscapes", "photometric_voc", "cutmix_voc", "cutmix_cityscapes"):
        document.pop(part, None)
    for part in ("strong_view_of_a_stated_picture", "whole_image"):
        document.pop(part, None)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(document))
    status, _, err = run(monkeypatch, capsys, path)
    assert status == 2
    assert err.startswith("error: expected ")
    assert err.count("\n") == 1


def test_bytes_that_are_no_text(monkeypatch, capsys, tmp_path):
    path = tmp_path / "bytes.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert run(monkeypatch, capsys, path)[0] == 2
    assert run(monkeypatch, capsys, tmp_path)[0] == 2  # a folder
    assert read(FOLDER / "step.json")["file"].text() == "golden_step"
