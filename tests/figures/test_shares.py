from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from psmt_viz.figures.shares import counted, digits_apart, interval, percent, percents


@pytest.mark.parametrize(
    ("share", "text"),
    [(36 / 25_000, "0.14 %"), (0, "0 %"), (1, "100 %"), (0.2, "20 %"), (1 / 25_000, "0.0040 %"), (0.0314, "3.1 %"),
     (0.9996, "99.96 %"), (math.nan, "not known")],
)  # fmt: skip
def test_percent(share, text):
    assert percent(share) == text


def test_close_counts_read_as_close():
    assert counted([361, 363], 25_000) == ["361 of 25,000 (1.44 %)", "363 of 25,000 (1.45 %)"]
    assert counted([0, 36], 25_000) == ["0 of 25,000 (0 %)", "36 of 25,000 (0.144 %)"]
    assert counted([25_000, 24_999], 25_000) == ["25,000 of 25,000 (100.00 %)", "24,999 of 25,000 (99.996 %)"]
    assert counted([0, 0], 0) == ["0 of 0 (not known)"] * 2


def test_no_two_counts_read_alike_or_much_farther_apart_than_they_are():
    """Over many pairs: what is read back differs, by no more than twice and no less than half the difference."""
    random = np.random.default_rng(0)
    for total in (40, 25_000, 3_000_000):
        counts = random.integers(0, total, (300, 2))
        near = np.minimum(counts[:, :1] + random.integers(0, 4, (300, 2)), total)
        for pair in [*counts.tolist(), *near.tolist()]:
            low, high = sorted(pair)
            read = [float(re.search(r"\((\S+) %\)", text)[1]) / 100 * total for text in counted([low, high], total)]
            if low == high:
                assert read[0] == read[1]
            else:
                assert 0.499 * (high - low) < read[1] - read[0] < 2.001 * (high - low), (low, high, total)


def test_more_than_two_are_told_apart_and_unknown_ones_do_not_matter():
    shares = [0.014449, 0.5, math.nan, 0.014451, 0.014449]
    texts = percents(shares)
    assert texts == ["1.4449 %", "50.000 %", "not known", "1.4451 %", "1.4449 %"]
    assert all(first != second for first, second in pairwise(texts[:4]))
    assert percents([-0.25, 0.00512]) == ["-25.0 %", "0.512 %"]


def test_the_order_of_a_sum_is_no_difference():
    assert digits_apart([0.1 + 0.2, 0.3]) == 3


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.011327, 0.018573, "1.13 to 1.86 %"), (0.0009, 0.0021, "0.090 to 0.210 %"), (0, 0, "0 to 0 %"),
     (3e-7, 0.2, "0.00003 to 20.0 %"), (None, 0.2, ""), (0.1, math.nan, ""), (0.9, 1, "90 to 100 %")],
)  # fmt: skip
def test_bounds_of_a_share(low, high, text):
    assert interval(low, high) == text
