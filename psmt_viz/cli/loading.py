"""A sign of life in the first second: the libraries that compute take several to load."""

from __future__ import annotations

import os
import sys


def loading() -> None:
    """Says on standard error that torch is being loaded, where it is not there yet; of several processes, one does."""
    if "torch" not in sys.modules and os.environ.get("RANK", "0") == "0":
        print("loading torch ...", file=sys.stderr, flush=True)
