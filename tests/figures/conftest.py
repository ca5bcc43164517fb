from __future__ import annotations

import matplotlib as mpl
import pytest


@pytest.fixture(autouse=True)
def settings_untouched():
    """Drawing and saving leave every matplotlib setting as it was."""
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
