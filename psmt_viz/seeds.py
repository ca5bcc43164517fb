"""One seed, many independent streams."""

from __future__ import annotations

import zlib

import numpy as np


def derived_seed(seed: int, *path: str | int) -> int:
    """Returns the seed of a named stream: equal for equal arguments on every machine, unrelated otherwise.

    Args:
        seed: The run's seed.
        path: What the stream is for, for example `("labeled", 17)`.
    """
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in path]
    return int(np.random.SeedSequence([seed, *words]).generate_state(1, np.uint64)[0] >> np.uint64(1))
