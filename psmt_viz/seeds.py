"""One seed, many independent streams."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, *path: str | int) -> int:
    """Returns the seed of a named stream: equal for equal arguments on every machine, unrelated otherwise.

    Args:
        seed: The run's seed.
        path: What the stream is for, for example `("labeled", 17)`.

    Returns:
        A number of 63 bits.
    """
    name = repr((int(seed), *(part if isinstance(part, str) else int(part) for part in path)))
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1
