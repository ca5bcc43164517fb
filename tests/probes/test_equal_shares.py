"""Which classes a map shows, against all ways to choose them."""

import numpy as np
import pytest

from psmt_viz.errors import TooLittleCorrect
from psmt_viz.probes.equal_shares import equal_shares


def most_pixels(counts: dict[str, int], pixels: int, wanted: int) -> tuple[int, int]:
    """The most pixels in equal shares, and of the numbers of classes that allow them the largest, by trying all."""
    ranked = sorted(counts.values(), reverse=True)
    found = []
    for number in range(min(2, wanted), wanted + 1):
        for each in range(1, pixels // number + 1):
            if ranked[number - 1] >= each:
                more = sum(count > each for count in ranked[:number])
                found.append((number * each + min(more, pixels - number * each), number))
    return max(found)


@pytest.mark.parametrize("seed", range(40))
def test_as_many_pixels_of_as_many_classes_as_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = {f"class{number}": int(count) for number, count in enumerate(rng.integers(1, 80, size=6))}
    pixels, wanted = int(rng.integers(12, 120)), int(rng.integers(2, 6))
    shares = equal_shares(counts, pixels, wanted=wanted)
    assert (sum(shares.pixels.values()), len(shares.pixels)) == most_pixels(counts, pixels, wanted)
    assert max(shares.pixels.values()) - min(shares.pixels.values()) <= 1
    assert all(0 < share <= counts[name] for name, share in shares.pixels.items())
    ranked = sorted(counts, key=lambda name: -counts[name])
    assert list(shares.pixels) == ranked[: len(shares.pixels)]
    assert shares.left_out == {name: counts[name] for name in ranked[len(shares.pixels) : wanted]}


def test_a_rare_class_is_left_out_and_the_others_get_its_share() -> None:
    shares = equal_shares({"a": 900, "rare": 3, "b": 700, "c": 800}, 100, wanted=4)
    assert shares.pixels == {"a": 34, "c": 33, "b": 33}  # the class with the most correct pixels has one more
    assert shares.left_out == {"rare": 3}


def test_classes_that_are_all_a_little_too_rare_are_all_shown() -> None:
    counts = dict.fromkeys("abcde", 49)
    assert equal_shares(counts, 250, wanted=5).pixels == counts


def test_classes_that_nobody_predicts_are_told() -> None:
    assert equal_shares({"a": 50, "b": 40, "c": 0, "d": 0}, 20, wanted=3).left_out == {"c": 0, "d": 0}
    assert equal_shares({"a": 50, "b": 40, "c": 30, "d": 0}, 21, wanted=3).left_out == {}


@pytest.mark.parametrize(
    ("counts", "wanted", "message"),
    [
        ({"a": 50, "b": 0}, 2, "at least 2 classes, got a 50, b 0"),
        ({"a": 0}, 1, "at least a class, got a 0"),
        ({"a": 1, "b": 1}, 2, "at least 3 correctly predicted pixels, got a 1, b 1"),
    ],
)
def test_too_little_for_any_map(counts: dict[str, int], wanted: int, message: str) -> None:
    with pytest.raises(TooLittleCorrect, match=message):
        equal_shares(counts, 10, wanted=wanted)


def test_one_class_that_was_named_is_enough() -> None:
    assert equal_shares({"a": 50}, 10, wanted=1).pixels == {"a": 10}
