"""The errors that a user can cause."""

from __future__ import annotations


class UserError(ValueError):
    """Says on one line what was expected, what was found and the way out.

    Args:
        expected: What the program needed.
        got: What it found instead.
        fix: What the user can do about it.
    """

    def __init__(self, expected: str, got: str, fix: str) -> None:
        self.expected, self.got, self.fix = expected, got, fix
        super().__init__(" ".join(f"expected {expected}, got {got}; {fix}".split()))

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str]]:
        # Errors of worker processes arrive pickled, and an exception is made again from its one-line message otherwise.
        return type(self), (self.expected, self.got, self.fix)


class TooLittleCorrect(UserError):
    """The networks predict too little correctly for what was asked to be shown."""
