"""Commands are tested for what they write, not for how it looks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.commands import blank_figures


@pytest.fixture(scope="module", autouse=True)
def pictures() -> Iterator[None]:
    with blank_figures():
        yield
