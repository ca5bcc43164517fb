import numpy as np
import pytest

from psmt_viz.data import VocFolder, read_pair
from psmt_viz.errors import UserError
from tests.data.folders import put_mask


def test_image_and_mask_of_two_sizes_are_refused(root):
    put_mask(root / "SegmentationClass" / "a2.png", np.zeros((12, 10)))
    with pytest.raises(UserError, match=r"a2 in little of one size .*an image of 12 x 10 and a mask of 10 x 12"):
        read_pair(VocFolder(root), "a2")
