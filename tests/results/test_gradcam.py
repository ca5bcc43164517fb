"""Maps of classes, saved."""

from __future__ import annotations

import pandas as pd

from psmt_viz.results import Cams


def test_no_maps_survive(tmp_path):
    nothing = Cams(cams=(), classes=("a",), table=pd.DataFrame(columns=["image"]))
    nothing.save(tmp_path)
    assert Cams.load(tmp_path).cams == ()
