"""How many pixels of which classes a map shows: the same number of each, as nearly as can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psmt_viz.errors import TooLittleCorrect
from psmt_viz.probes.settings import LEAST_PIXELS


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Which classes are shown, with how many pixels each."""

    pixels: dict[str, int]
    """Class -> pixels, the class with the most correct pixels first."""
    left_out: dict[str, int]
    """Class that is not shown, because it is too rare -> its correctly predicted pixels."""


def equal_shares(counts: Mapping[str, int], pixels: int, *, wanted: int) -> Shares:
    """Shares pixels out among the classes with the most correct ones.

    The rarest classes are left out as long as that gives more pixels: with all of them, no class could have more pixels
    than the rarest has. Shares differ by 1 at most; the classes with the most correct pixels get one more.

    Args:
        counts: Class -> correctly predicted pixels.
        pixels: How many pixels to show; fewer where the classes have too few.
        wanted: How many classes to show, at most.

    Raises:
        TooLittleCorrect: if fewer than two classes have correct pixels, or none where one is wanted, or there are too
            few pixels for a map.
    """
    ranked = sorted(counts, key=lambda name: counts[name], reverse=True)
    present = [name for name in ranked if counts[name]]
    least = min(2, wanted)
    found = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    fix = "train the run for longer, or choose other --classes"
    if len(present) < least:
        wanting = f"{least} classes" if least > 1 else "a class"
        raise TooLittleCorrect(f"correctly predicted pixels of at least {wanting}", found, fix)
    most = min(wanted, len(present), pixels)
    possible = [_of_first(number, present, counts, pixels) for number in range(least, most + 1)]
    # Of numbers of classes that give equally many pixels, the largest.
    shares = max(possible, key=lambda each: (sum(each.values()), len(each)), default={})
    if sum(shares.values()) < LEAST_PIXELS:
        raise TooLittleCorrect(f"at least {LEAST_PIXELS} correctly predicted pixels", found, fix)
    # Classes that nobody predicts have no rank: where one would have been shown, all of them are told.
    absent = [name for name in ranked if not counts[name]] if len(present) < wanted else []
    return Shares(pixels=shares, left_out={name: counts[name] for name in [*present[len(shares) : wanted], *absent]})


def _of_first(number: int, ranked: Sequence[str], counts: Mapping[str, int], pixels: int) -> dict[str, int]:
    """Returns the shares of the classes with the most correct pixels: what the rarest of them can have, or 1 more."""
    each = min(pixels // number, counts[ranked[number - 1]])
    more = pixels - number * each
    return {name: each + (place < more and counts[name] > each) for place, name in enumerate(ranked[:number])}
