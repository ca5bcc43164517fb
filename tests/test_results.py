from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from psmt_viz.errors import UserError
from psmt_viz.results import Cam, Cams, CloseUp, Evaluation, Flips, read_csv, write_csv
from tests.figures import synthetic

RESULTS = {
    "evaluation": synthetic.evaluation,
    "flips": synthetic.flips,
    "embedding": lambda: synthetic.embedding(20, (3, 4)),
    "cams": lambda: synthetic.cams(2, (12, 16)),
    "closeup": lambda: synthetic.closeup(("vat", "feature-drop"), (16, 24)),
}


def equal(one, other):
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    elif isinstance(one, Cam):
        for field in fields(Cam):
            equal(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            equal(*pair)
    elif isinstance(one, dict) and any(isinstance(value, np.ndarray) for value in one.values()):
        assert list(one) == list(other)
        for key in one:
            equal(one[key], other[key])
    else:
        assert one == other


@pytest.mark.parametrize("name", RESULTS)
def test_a_saved_result_loads_as_it_was(tmp_path, name):
    result = RESULTS[name]()
    paths = result.save(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    loaded = type(result).load(tmp_path)
    for field in fields(result):
        equal(getattr(result, field.name), getattr(loaded, field.name))


@pytest.mark.parametrize("name", RESULTS)
def test_each_missing_file_is_named(tmp_path, name):
    result = RESULTS[name]()
    for path in result.save(tmp_path):
        kept = path.read_bytes()
        path.unlink()
        if path.name == "evaluation.csv":  # for readers; the scores are in confusion.csv
            type(result).load(tmp_path)
        else:
            with pytest.raises((UserError, FileNotFoundError), match=path.name):
                type(result).load(tmp_path)
        path.write_bytes(kept)


@pytest.mark.parametrize("name", RESULTS)
def test_equal_results_are_equal_files(tmp_path, name):
    contents = [[path.read_bytes() for path in RESULTS[name]().save(tmp_path)] for _ in range(2)]
    assert contents[0] == contents[1]


def test_names_like_numbers_and_nothing_survive(tmp_path):
    result = Evaluation(classes=("NA", "1", "null"), confusion={"student": np.arange(9).reshape(3, 3)})
    result.save(tmp_path)
    loaded = Evaluation.load(tmp_path)
    assert loaded.classes == result.classes
    np.testing.assert_array_equal(loaded.confusion["student"], result.confusion["student"])


def test_a_run_without_teachers_has_one_row():
    table = synthetic.evaluation(roles=("student",)).table()
    assert list(table["role"]) == ["student"]
    assert list(table.columns) == ["role", "miou", "pixel_accuracy", *(f"iou_{name}" for name in synthetic.SCENES)]
    assert table["miou"].iloc[0] == pytest.approx(table.filter(like="iou_").mean(axis=1).iloc[0])


def test_flipped_is_relative_to_the_label():
    result = synthetic.embedding(30, (3, 5))
    assert [int(result.flipped(panel).sum()) for panel in result.panels] == [0, 3, 5]


def test_every_table_of_flips_starts_with_its_key():
    result = synthetic.flips()
    for name in ("flips", "paired", "by_class", "by_distance", "by_confidence", "confusion"):
        assert list(getattr(result, name).columns[:4]) == ["kind", "judge", "norm", "eps"]


def test_a_pixel_is_flipped_if_it_was_right_and_is_wrong():
    image = np.zeros((1, 4, 3), np.uint8)
    truth, before, after = (np.array([row], np.uint8) for row in ([0, 1, 1, 255], [0, 1, 0, 1], [0, 2, 2, 0]))
    result = CloseUp(image_id="a", classes=("a", "b", "c"), image=image, truth=truth, prediction=before,
                     moved={"vat": after}, magnitude={})  # fmt: skip
    assert result.flipped("vat").tolist() == [[False, True, False, False]]


def test_empty_tables_survive(tmp_path):
    full = synthetic.flips(("vat",))
    tables = [field.name for field in fields(full) if isinstance(getattr(full, field.name), pd.DataFrame)]
    Flips(**{name: getattr(full, name).iloc[:0] for name in tables}, health={}).save(tmp_path)
    assert len(tables) == 6
    for name in tables:
        loaded = getattr(Flips.load(tmp_path), name)
        assert list(loaded.columns) == list(getattr(full, name).columns) and loaded.empty
    nothing = Cams(cams=(), classes=("a",), table=pd.DataFrame(columns=["image"]))
    nothing.save(tmp_path)
    assert Cams.load(tmp_path).cams == ()


def test_csv_keeps_every_digit_and_says_what_is_wrong(tmp_path):
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=200) * 1e-7, "name": ['a,b\n"c"'] * 200})
    write_csv(tmp_path / "t.csv", frame)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "t.csv"), frame, check_exact=True)
    assert b"\r" not in (tmp_path / "t.csv").read_bytes()
    with pytest.raises(UserError, match=r"expected a table .*none\.csv, got nothing there; check the path"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(UserError, match=r"expected a CSV table in .*empty\.csv"):
        read_csv(tmp_path / "empty.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(UserError, match=r"expected a CSV table in .*binary\.csv"):
        read_csv(tmp_path / "binary.csv")


def test_names_stay_names_and_gaps_stay_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame({"run": ["NA", "0016", "nan", ""], "miou": [0.5, np.nan, 1.0, 0.1 + 0.2]})
    write_csv(tmp_path / "a.csv", frame)
    found = read_csv(tmp_path / "a.csv")
    assert found["run"].tolist() == ["NA", "0016", "nan", ""]
    pd.testing.assert_series_equal(found["miou"], frame["miou"], check_exact=True)
