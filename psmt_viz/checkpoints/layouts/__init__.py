"""The layouts of checkpoints that can be read, one a file; a file that is put here is found.

Each is a `psmt_viz.checkpoints.checkpoint.Layout`: it has a `CODEBASE` and the functions `matches` and `read`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from psmt_viz.checkpoints.checkpoint import Layout


def layouts() -> tuple[Layout, ...]:
    """Returns all layouts, in the order of their files' names."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return tuple(cast(Layout, importlib.import_module(f"{__name__}.{name}")) for name in names)
