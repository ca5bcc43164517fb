import dataclasses

import pytest

from psmt_viz.data.scenes.drawing import BACKGROUNDS
from psmt_viz.data.scenes.style import SceneStyle


def test_ranges_are_in_order_and_every_background_has_a_weight():
    style = SceneStyle()
    for name in ("diameter", "contrast", "clutter", "blob_radius", "gain", "gamma", "shadow", "noise"):
        low, high = getattr(style, name)
        assert low <= high, name
    assert len(style.backgrounds) == len(BACKGROUNDS)


def test_a_style_cannot_be_changed_after_it_was_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SceneStyle().blur = 0.5
