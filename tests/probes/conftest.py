"""What the probes' tests share."""

from typing import Any

import pytest

from psmt_viz.models.networks import Networks
from psmt_viz.probes.perturb import perturb
from psmt_viz.results import Flips
from tests.probes.flips_reference import EPS, SEED


@pytest.fixture(scope="module")
def result(networks: Networks, blocks: Any) -> Flips:
    return perturb(networks, blocks, eps=EPS, seed=SEED)
