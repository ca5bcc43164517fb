"""Which pixels of a close-up are flipped."""

from __future__ import annotations

import numpy as np

from psmt_viz.results import CloseUp


def test_a_pixel_is_flipped_if_it_was_right_and_is_wrong():
    image = np.zeros((1, 4, 3), np.uint8)
    truth, before, after = (np.array([row], np.uint8) for row in ([0, 1, 1, 255], [0, 1, 0, 1], [0, 2, 2, 0]))
    result = CloseUp(image_id="a", classes=("a", "b", "c"), image=image, truth=truth, prediction=before,
                     moved={"vat": after}, magnitude={})  # fmt: skip
    assert result.flipped("vat").tolist() == [[False, True, False, False]]
