"""Class activation maps, saved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from psmt_viz.results import Cams
from tests.figures import synthetic


def test_no_maps_survive(tmp_path):
    nothing = Cams(cams=(), classes=("a",), table=pd.DataFrame(columns=["image"]))
    nothing.save(tmp_path)
    assert Cams.load(tmp_path).cams == ()


@pytest.mark.parametrize("kinds", [("vat", "tvat"), ("random",), ("pgd", "vat", "feature-drop")])
def test_maps_of_any_panels_survive_in_their_order(tmp_path, kinds):
    result = synthetic.cams(12, kinds=kinds)  # images 1 and 10 begin alike
    result.save(tmp_path)
    again = Cams.load(tmp_path)
    assert again.perturbations == kinds
    for before, after in zip(result.cams, again.cams, strict=True):
        assert list(after.maps) == ["clean", *kinds]
        for panel, values in before.maps.items():
            np.testing.assert_array_equal(after.maps[panel], values)
        np.testing.assert_array_equal(after.change(kinds[-1]), before.maps[kinds[-1]] - before.maps["clean"])
