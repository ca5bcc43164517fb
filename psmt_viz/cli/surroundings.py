"""What a command is run in: streams, pipes and what the environment says to libraries."""

from __future__ import annotations

import logging
import os
import select
import sys
from contextlib import suppress


def settle() -> None:
    """Makes streams and libraries work whatever they are given.

    Names that a stream's encoding lacks are escaped. Nothing is shown in windows or notebooks, so a backend of theirs,
    which matplotlib refuses where it is not installed, is not asked for. A home that cannot be written to is no news:
    matplotlib then keeps its fonts elsewhere.
    """
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")
    if "MPLBACKEND" in os.environ:
        os.environ["MPLBACKEND"] = "agg"
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def has_lost_its_reader(error: BaseException) -> bool:
    """Returns whether a failure means that nobody reads standard output any more, as with `| head -1`.

    What is left for it is then thrown away.
    """
    if isinstance(error, SystemExit):  # rich's, of a page of help
        return isinstance(error.__context__, BrokenPipeError)
    if not isinstance(error, BrokenPipeError):
        return False
    with suppress(OSError, ValueError):  # streams without a file, as in tests
        output = sys.stdout.fileno()
        if hasattr(select, "poll"):  # not on Windows
            asked = select.poll()
            asked.register(output, 0)
            if not any(state & (select.POLLERR | select.POLLHUP) for _, state in asked.poll(0)):
                return False
        # Python itself flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
        return True
    return False
