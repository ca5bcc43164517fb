"""Counts and shares as text, with enough digits that what is compared reads as different as it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

_DIGITS = 3
"""Significant digits of shares that are compared, at least."""
_MOST = 9
"""Digits beyond which numbers differ by the order of a sum alone."""


def percent(share: float, digits: int = 2) -> str:
    """Returns a share in [0, 1] in percent, for example `0.14 %`; only 1 reads as `100 %`.

    Args:
        share: The share.
        digits: Significant digits.
    """
    value = 100 * share
    if not math.isfinite(value):
        return "not known"
    if value == 0:
        return "0 %"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # of what is shown: 9.996 is written as 10.0
    places = max(0, digits - 1 - exponent)
    while value < 100 <= round(value, places):
        places += 1
    return f"{value:.{places}f} %"


def digits_apart(shares: Iterable[float]) -> int:
    """Returns how many significant digits, 3 or more, show the differences of shares as they are.

    With too few, 1.444 and 1.452 % would read as 1.4 and 1.5 %, ten times as far apart, and 0.831 and 0.834 % as equal.
    No difference that is shown is more than twice or less than half the true one.
    """
    known = sorted(share for share in shares if math.isfinite(share))
    pairs = [(low, high) for low, high in pairwise(known) if not math.isclose(low, high, rel_tol=10.0**-_MOST)]
    return next((digits for digits in range(_DIGITS, _MOST) if all(_is_true(*pair, digits) for pair in pairs)), _MOST)


def _is_true(low: float, high: float, digits: int) -> bool:
    shown = (float(f"{high:.{digits - 1}e}") - float(f"{low:.{digits - 1}e}")) / (high - low)
    return shown + 1e-6 >= 0.5 and shown - 1e-6 <= 2


def percents(shares: Sequence[float]) -> list[str]:
    """Returns shares that are compared in percent, with as many digits as `digits_apart` asks for."""
    digits = digits_apart(shares)
    return [percent(share, digits) for share in shares]


def counted(counts: Sequence[int], total: int) -> list[str]:
    """Returns counts that are compared as `361 of 25,000 (1.44 %)`.

    Args:
        counts: How many.
        total: Of how many.
    """
    shares = percents([count / total if total else math.nan for count in counts])
    return [f"{count:,} of {total:,} ({share})" for count, share in zip(counts, shares, strict=True)]


def interval(low: float | None, high: float | None) -> str:
    """Returns the bounds of a share as `1.13 to 1.86 %`, or nothing where one is not known.

    The lower has the decimals of the upper one, which has three significant digits, or more where it would read as 0.
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    last, least = (percent(end, digits).removesuffix(" %") for end, digits in ((high, _DIGITS), (low, 1)))
    places = max(len(end.partition(".")[2]) for end in (last, least))
    return f"{100 * low:.{places}f} to {last} %" if low else f"0 to {last} %"
