from pathlib import Path

import pytest

from tests.data.folders import make_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sound folder of 4 classes in Pascal VOC's layout, the caller's own."""
    return make_folder(tmp_path / "little")
