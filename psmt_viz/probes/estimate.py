"""A statistic over images and its interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A statistic and its interval."""

    value: Floats
    low: Floats
    high: Floats
