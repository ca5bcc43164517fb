"""What the probes' tests share."""

from typing import Any

import pytest
from flips_reference import EPS, SEED

from psmt_viz.models.psmt import PSMT
from psmt_viz.probes.flips import flips
from psmt_viz.results import Flips


@pytest.fixture(scope="module")
def result(bundle: PSMT, blocks: Any) -> Flips:
    return flips(bundle, blocks, eps=EPS, seed=SEED)
