"""Which runs the evidence is made of, and their commands."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from evidence_grid import ALL, ARMS, BOTH, GRID, LABELS, Cell, cells, flip_epochs

from psmt_viz.config import fixed_settings
from psmt_viz.presets import RECIPES, configure

EVERY = [cell for preset in GRID for cell in cells(preset)]


def test_names_are_folders_and_differ():
    names = [cell.name for cell in EVERY]
    assert len(set(names)) == len(names)
    assert all(Path(name).name == name and " " not in name for name in names)


def test_the_grid_holds_what_the_claims_need():
    count = Counter((cell.preset, cell.split, cell.arm) for cell in EVERY)
    assert {count["scenes", split, arm] for split in ("1_16", "1_8", "1_4", "1_2") for arm in BOTH} == {3}
    assert {count["voc_mini", "1_8", arm] for arm in ARMS} == {3}
    assert {count["camvid", "1_8", arm] for arm in BOTH} == {2}
    assert {count[preset, ALL, "supervised"] for preset in ("scenes", "voc_mini")} == {3}
    assert 0 not in {cell.seed for cell in EVERY}  # settings were chosen on it
    assert set(ARMS) == set(LABELS)


@pytest.mark.parametrize("preset", GRID)
def test_arms_differ_in_nothing_but_the_method(preset):
    """Steps, views, batches, learning rate and network are alike within a labelled share."""
    for split in {cell.split for cell in cells(preset)}:
        alike = [fixed_settings(cell.config()) for cell in cells(preset, splits=[split], seeds=[1])]
        # A method has settings of its own, and those that all methods share.
        shared = set.intersection(*(set(settings["method"]) for settings in alike))
        assert {"warmup_steps", "steps_per_epoch", "epochs", "batch_labeled", "batch_unlabeled"} <= shared
        for settings in alike:
            del settings["recipe"]
            names = shared - {"method", *RECIPES["supplement"]}
            settings["method"] = {name: settings["method"][name] for name in names}
        assert len(alike) == 1 if split == ALL else len(alike) >= 2
        assert all(settings == alike[0] for settings in alike)


def test_parts_of_the_grid():
    chosen = list(cells("voc_mini", splits=["1_8"], arms=["psmt", "no-tvat"], seeds=[2, 5]))
    assert [cell.name for cell in chosen] == [
        *("voc_mini-psmt-1_8-2", "voc_mini-psmt-1_8-5", "voc_mini-no-tvat-1_8-2", "voc_mini-no-tvat-1_8-5")
    ]
    (one,) = cells("camvid", arms=["psmt"], seeds=[1], variant="r50")
    assert (one.name, one.dataset) == ("camvid-r50-psmt-1_8-1", "camvid r50")


def test_perturbations_are_measured_from_the_end_of_the_warm_up_to_the_last_epoch():
    assert flip_epochs(Cell("voc_mini", "1_8", "psmt", 1).config().method) == [2, 4, 6, 8, 12]
    assert {cell.arm for cell in EVERY if cell.perturbed} == {"psmt"}


def test_settings_of_a_cell_are_those_of_its_command():
    cell = Cell("voc_mini", "1_8", "official-code", 3, "long", ("--epochs", "22", "--devices", "2"))
    assert cell.config() == configure(
        "voc_mini",
        {"data": str(Path("voc_mini").resolve()), "split": "1_8", "seed": 3, "epochs": 22},
        recipe="official-code",
    )
    assert flip_epochs(cell.config().method)[-1] == 24
