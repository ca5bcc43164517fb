"""psmt-viz: train PS-MT and see what its perturbations really do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psmt_viz.models.load import load_run as load_run

__version__ = "0.1.0"
__all__ = ["__version__", "load_run"]


def __getattr__(name: str) -> Any:
    # Importing torch takes a second; `psmt-viz --help` and readers of results do without.
    if name == "load_run":
        from psmt_viz.models.load import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
