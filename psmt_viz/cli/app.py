"""The program `psmt-viz`: what all commands share, and how they end."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError

import psmt_viz
from psmt_viz.cli.surroundings import has_lost_its_reader, settle
from psmt_viz.errors import UserError
from psmt_viz.files import output_folder

app = App(
    name="psmt-viz",
    help="Train PS-MT for semi-supervised semantic segmentation and visualise what its perturbations do.",
    version=psmt_viz.__version__,
    suppress_keyboard_interrupt=False,
)


@contextmanager
def results_folder(out: Path | None, command: str, name: str) -> Iterator[Path]:
    """Yields the folder for a command's results (see `own_folder`), and prints its path at the end."""
    with own_folder(out, command, name) as folder:
        yield folder
    say(folder)


@contextmanager
def own_folder(out: Path | None, command: str, name: str) -> Iterator[Path]:
    """Yields the folder for what a command writes; a failure removes folders that it made empty.

    It is made before the work, so that an unwritable folder costs nothing.
    """
    place = out or Path("runs", command)
    before = {each for each in (place, *place.parents) if each.exists()}
    folder = output_folder(out, command, name)
    try:
        yield folder
    except BaseException:
        with suppress(OSError):  # from the first that holds something
            for each in (folder, *folder.parents):
                if each in before:
                    break
                each.rmdir()
        raise


def show_classes(result: Any) -> None:
    scores = result.table().set_index("role").T.mul(100)
    print(scores.to_string(float_format="{:.2f}".format, na_rep="-"))


def say(path: Path) -> None:
    print(f"results: {path}")


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0, also where nobody reads the output to its end; 2 after an error that the user can fix, printed in one line on
        standard error; 130 after Ctrl-C and 143 after SIGTERM.
    """
    settle()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)  # libraries talking to libraries
        warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
        try:
            status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
            sys.stdout.flush()
        except (UserError, CycloptsError) as error:
            return _fail(str(error))
        except SystemExit as stop:
            if not has_lost_its_reader(stop):
                raise
            return 0
        except OSError as error:
            if has_lost_its_reader(error):
                return 0
            if isinstance(error, LookupError):  # jinja2's, of a template that the installation lacks
                raise
            path, reason = error.filename or "files", error.strerror or error
            return _fail(f"expected to read and write {path}, got {reason}; check the disk and its permissions")
        except KeyboardInterrupt as stop:
            print("stopped; finished work is kept", file=sys.stderr)
            return 128 + getattr(stop, "number", signal.SIGINT)
    return status if isinstance(status, int) else 0


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
