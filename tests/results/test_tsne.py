"""Which pixels of a map are flipped."""

from __future__ import annotations

from psmt_viz.results import PixelEmbedding
from tests.figures import synthetic


def test_flipped_is_relative_to_the_label():
    result = synthetic.embedding(30, (3, 5))
    assert [int(result.flipped(panel).sum()) for panel in PixelEmbedding.PANELS] == [0, 3, 5]
