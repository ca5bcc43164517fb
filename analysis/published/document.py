"""A JSON file of stated outputs, read value by value with the place of whatever is missing or of another kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psmt_viz.errors import UserError

_LARGE = 1e300


class Node:
    """A value in a JSON file.

    Args:
        value: The value.
        file: The file's path, for errors.
        place: The keys that lead to the value.
    """

    def __init__(self, value: Any, file: Path, place: str = "") -> None:
        self.value, self.file, self.place = value, file, place

    def __getitem__(self, key: str | int) -> Node:
        found = self.get(key)
        if found is None:
            raise self._fault(f"{self.place} to have {key!r}".strip(), "none")
        return found

    def get(self, key: str | int) -> Node | None:
        """Returns the value under a key or an index, None if there is none."""
        place = f"{self.place}.{key}".lstrip(".")
        if isinstance(self.value, dict) and isinstance(key, str) and key in self.value:
            return Node(self.value[key], self.file, place)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return Node(self.value[key], self.file, place)
        return None

    def items(self) -> Iterator[tuple[str, Node]]:
        """Yields keys and values of an object."""
        if not isinstance(self.value, dict):
            raise self._fault(f"{self.place} an object", self._kind())
        return ((key, self[key]) for key in self.value)

    def elements(self) -> list[Node]:
        """Returns the elements of a list."""
        if not isinstance(self.value, list):
            raise self._fault(f"{self.place} a list", self._kind())
        return [self[index] for index in range(len(self.value))]

    def number(self) -> float:
        """Returns a finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not abs(self.value) < _LARGE:
            raise self._fault(f"{self.place} a finite number", self._kind())
        return float(self.value)

    def integer(self, least: int = 0, most: int = 10**12) -> int:
        """Returns a whole number from `least` to `most`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not least <= self.value <= most:
            raise self._fault(f"{self.place} a whole number from {least} to {most}", self._kind())
        return self.value

    def text(self) -> str:
        """Returns a text."""
        if not isinstance(self.value, str):
            raise self._fault(f"{self.place} a text", self._kind())
        return self.value

    def flag(self) -> bool:
        """Returns a truth value."""
        if not isinstance(self.value, bool):
            raise self._fault(f"{self.place} true or false", self._kind())
        return self.value

    def numbers(self) -> list[float]:
        """Returns a list of numbers."""
        return [each.number() for each in self.elements()]

    def integers(self, least: int = 0, most: int = 10**12, count: int | None = None) -> list[int]:
        """Returns a list of whole numbers, of a certain length if that is given."""
        found = [each.integer(least, most) for each in self.elements()]
        if count is not None and len(found) != count:
            raise self._fault(f"{count} numbers in {self.place}", f"{len(found)}")
        return found

    def find(self, pattern: str, what: str) -> re.Match[str]:
        """Returns where a regular expression matches a text.

        Args:
            pattern: The expression.
            what: What it looks for, for the error.
        """
        match = re.search(pattern, self.text())
        if match is None:
            raise self._fault(f"{what} in the words of {self.place}", repr(self.text()[:80]))
        return match

    def at(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Returns row and column of the place that the last key names as "row,column", in an image of some size."""
        match = re.fullmatch(r"(\d+),(\d+)", self.place.rpartition(".")[2])
        if match is None or not all(int(part) < length for part, length in zip(match.groups(), size, strict=True)):
            raise self._fault(f"{self.place} to end with 'row,column' inside {tuple(size)}", self._kind())
        return int(match[1]), int(match[2])

    def refuse(self, expected: str) -> UserError:
        """Returns the error of a value that cannot be used."""
        return self._fault(f"{self.place} {expected}", self._kind())

    def _fault(self, expected: str, got: str) -> UserError:
        return UserError(expected, f"{got} in {self.file}", "give a whole file of this form")

    def _kind(self) -> str:
        shown = json.dumps(self.value)
        return shown if len(shown) <= 60 else f"{shown[:57]}..."


def read(path: Path) -> Node:
    """Reads a file.

    Raises:
        UserError: if it cannot be read or is no JSON object.
    """
    fix = "give a JSON file of stated outputs"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"a file {path}", "nothing there", "check the path") from None
    except OSError as error:
        raise UserError(f"a file {path} that can be read", error.strerror or str(error), fix) from None
    except UnicodeDecodeError:
        raise UserError(f"JSON in {path}", "bytes that are no text", fix) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"JSON in {path}", str(error).splitlines()[0], fix) from None
    if not isinstance(found, dict):
        raise UserError(f"a JSON object in {path}", type(found).__name__, fix)
    return Node(found, path)
