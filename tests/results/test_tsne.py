"""Panels of a map are its columns, and flips are split by which perturbations cause them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from psmt_viz.results import PixelEmbedding, overlap
from tests.figures import synthetic


def test_flipped_is_relative_to_the_label():
    result = synthetic.embedding(30, (3, 5))
    assert [int(result.flipped(panel).sum()) for panel in result.panels] == [0, 3, 5]


@pytest.mark.parametrize("kinds", [("vat", "tvat"), ("random",), ("pgd", "vat", "feature-drop")])
def test_panels_have_the_order_of_the_columns_and_survive(tmp_path, kinds):
    result = synthetic.embedding(20, dict.fromkeys(kinds, 2))
    result.save(tmp_path)
    again = PixelEmbedding.load(tmp_path)
    assert again.panels == ("clean", *kinds) and again.perturbations == kinds
    pd.testing.assert_frame_equal(again.pixels, result.pixels)


def test_two_perturbations_share_flips_or_have_them_alone():
    vat, tvat = np.array([True, True, False, False]), np.array([True, False, True, False])
    found = overlap({"vat": vat, "tvat": tvat})
    assert {by: rows.tolist() for by, rows in found.items()} == {
        "both": [True, False, False, False],
        "vat_alone": [False, True, False, False],
        "tvat_alone": [False, False, True, False],
    }


def test_one_perturbation_has_all_flips_to_itself():
    (only,) = overlap({"pgd": np.array([True, False])}).items()
    assert only[0] == "all" and only[1].tolist() == [True, False]


def test_of_three_perturbations_every_flip_is_in_one_part():
    """By a loop over pixels, against the words of the docstring."""
    random = np.random.default_rng(0)
    wrong = {name: random.random(200) < 0.5 for name in ("a", "b", "c")}
    found = overlap(wrong)
    assert list(found) == ["all", "a_alone", "b_alone", "c_alone", "several"]
    for pixel in range(200):
        by = [name for name in wrong if wrong[name][pixel]]
        expected = {0: None, 1: f"{by[0]}_alone" if by else "", 2: "several", 3: "all"}[len(by)]
        assert [part for part, rows in found.items() if rows[pixel]] == ([expected] if expected else [])
