"""What a finished run adds to the tables."""

from __future__ import annotations

from dataclasses import replace

import evidence
import pandas as pd
import pytest
from evidence_grid import flip_epochs, flips_folder, labeled_folder
from evidence_summaries import labels_learned
from evidence_tables import MACHINE, Tables, finished, measured

from psmt_viz.errors import UserError
from psmt_viz.results import ROLES, Evaluation, read_csv
from psmt_viz.runs import Run
from tests.analysis.made_up import TABLES, driver, small
from tests.figures import synthetic


def test_a_run_is_finished_after_its_last_step(trained):
    _, folder = trained
    assert finished(folder)
    assert not finished(folder.with_name("missing"))
    metrics = read_csv(folder / "metrics.csv")
    metrics.iloc[:-1].to_csv(folder / "metrics.csv", index=False)
    assert not finished(folder)
    metrics.to_csv(folder / "metrics.csv", index=False)
    (folder / "evaluation.json").unlink()
    assert not finished(folder)


def test_a_run_in_tables(trained):
    cell, folder = trained
    epochs = flip_epochs(Run.open(folder).config.method)
    assert epochs == [2, 3, 4]
    for epoch in epochs:
        assert set(measured(cell, folder)) == {"runs", "classes", "epochs"}  # half measured is not measured
        flips_folder(folder, epoch).mkdir()
        synthetic.flips(("vat", "tvat", "random"), judges=ROLES, eps=(2.0,)).save(flips_folder(folder, epoch))
    assert "labeled_iou" not in measured(cell, folder)["classes"]
    labeled_folder(folder).mkdir()
    labeled = replace(Evaluation.load(folder), confusion={r: m.T for r, m in Evaluation.load(folder).confusion.items()})
    labeled.save(labeled_folder(folder))
    tables = measured(cell, folder)
    assert list(tables) == TABLES
    assert {name for table in tables.values() for name in table["run"]} == {cell.name}
    evaluation = Evaluation.load(folder).table().set_index("role")
    (row,) = tables["runs"].to_dict("records")
    assert (row["dataset"], row["split"], row["arm"], row["seed"]) == ("scenes small", "1_8", "psmt", 7)
    assert (row["steps"], row["machine"], row["recipe"]) == (80, "one then other", "supplement")
    assert row["hours"] == pytest.approx(read_csv(folder / "timing.csv")["seconds"].sum() / 3600, abs=6e-4)
    for role in ROLES:
        assert row[f"miou_{role}"] == evaluation.loc[role, "miou"]
        own = tables["classes"][tables["classes"]["role"] == role].set_index("class")["iou"]
        assert own.to_dict() == evaluation.loc[role].filter(like="iou_").rename(lambda n: n[4:]).to_dict()
        assert own.mean() == pytest.approx(row[f"miou_{role}"])
    pd.testing.assert_series_equal(tables["classes"]["labeled_iou"], tables["classes"]["iou"], check_names=False)
    pd.testing.assert_frame_equal(tables["epochs"].drop(columns="run"), read_csv(folder / "metrics.csv"))
    assert sorted(set(tables["flips"]["epoch"])) == epochs
    assert len(tables["flips"]) == 3 * 3 * len(ROLES)


@pytest.mark.parametrize("other", ["--precision bf16", "--val-list some.txt", "--power 1"])
def test_a_run_of_other_settings_than_its_cells_is_left_out(trained, tmp_path, monkeypatch, capsys, other):
    cell, folder = trained
    changed = replace(cell, flags=(*cell.flags, *other.split()))
    with pytest.raises(UserError, match=r"the settings of scenes small in .*, got others; give runs .* --variant"):
        measured(changed, folder)
    work, called = driver(folder.parent), []
    monkeypatch.setattr(work, "_call", lambda command, log: called.append(command))
    assert list(work.work([changed])) == called == []  # nor is it looked at any further
    assert f"{cell.name}: expected the settings" in capsys.readouterr().out
    tables, left_out = evidence.gather(folder.parent, [cell], tmp_path / "tables")
    assert (list(tables.runs["run"]), left_out) == ([cell.name], {})
    tables, left_out = evidence.gather(folder.parent, [changed], tmp_path / "tables")
    assert "expected the settings" in left_out[cell.name]
    assert all(len(getattr(tables, name)) == 0 for name in TABLES)  # what it had measured before is gone


@pytest.mark.parametrize("name", ["parts", "images"])
def test_runs_of_other_images_are_not_mixed(trained, name):
    cell, folder = trained
    first, other = measured(cell, folder), measured(cell, folder)
    for table in other.values():
        table["run"] = "other"
    assert len(small().updated([first, other]).runs) == 6
    other["runs"][name] = 7
    with pytest.raises(
        UserError, match=f"in all runs of scenes small 1_8, got {cell.name} against other|other against"
    ):
        small().updated([first, other])


def test_tables_of_before_a_column_was_added_can_be_drawn(tmp_path):
    tables = small()
    older = {
        "runs": tables.runs.drop(columns=["parts", "images"]),
        "classes": tables.classes.drop(columns="labeled_iou"),
    }
    replace(tables, **older).save(tmp_path)
    assert len(labels_learned(Tables.load(tmp_path).updated([])).splitlines()) == 2


def test_tables_load_as_they_were_and_take_a_run_once(trained, tmp_path):
    cell, folder = trained
    first = small().updated([measured(cell, folder)])
    first.save(tmp_path / "tables")
    loaded = Tables.load(tmp_path / "tables")
    again = loaded.updated([measured(cell, folder)])
    assert len(again.runs) == len(first.runs) == 5
    for name in TABLES:
        assert not getattr(again, name).duplicated().any()
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(first, name), check_dtype=False)
        pd.testing.assert_frame_equal(getattr(again, name), getattr(first, name), check_dtype=False)
    assert len(Tables.load(tmp_path / "nothing").runs) == 0


def test_a_run_measured_anew_keeps_nothing_of_before(trained):
    cell, folder = trained
    first = measured(cell, folder)
    flips = synthetic.flips(("vat", "tvat"), judges=ROLES, eps=(2.0,))
    old = {"flips": flips.flips.assign(run=cell.name), "paired": flips.paired.assign(run=cell.name)}
    before = small().updated([first | old])
    assert len(before.flips) > 0
    again = before.updated([first])
    assert (len(again.flips), len(again.paired), len(again.runs)) == (0, 0, len(before.runs))


def test_a_run_made_by_hand_has_no_machine(trained):
    cell, folder = trained
    (folder / MACHINE).unlink()
    assert measured(cell, folder)["runs"]["machine"].item() == "not noted"


@pytest.mark.parametrize("noted", [True, False])
def test_versions_of_the_method_are_not_mixed(noted):
    """Tables from before versions were noted are of the first."""
    tables = small(seeds=(1,))
    old = replace(tables, runs=tables.runs.assign(method_version=1) if noted else tables.runs)
    new = {"runs": small(seeds=(2,)).runs.assign(method_version=2)}
    with pytest.raises(UserError, match="the same method, images and micro-batches in all runs of scenes 1_8"):
        old.updated([new])
    again = old.updated([{"runs": small(seeds=(2,)).runs.assign(method_version=1)}])
    assert len(again.runs) == 4
