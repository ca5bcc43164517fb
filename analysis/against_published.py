"""Does psmt-viz compute what the PS-MT authors' published code computes? Compares it with stated outputs of that code.

Claim:    with `--recipe official-code` steps of training, the search for the noise, lengths and rates, views, boxes and
          validation are those of the published code: in float64 up to rounding, in float32 within its precision.
Command:  python analysis/against_published.py FILE ...
Cost:     on one core half a minute for a step of ResNet-50 at crop 64 in either precision, a minute for the
          views, seconds for the rest; 4 GB of memory.
Expected: one row per comparison: piece, difference, tolerance, verdict. Exit status 0 if all are within their
          tolerances, 1 if one is beyond, or if inputs cannot be rebuilt; 2 for a file that cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from published.document import Node, read
from published.report import Report

from psmt_viz.errors import UserError

Check = Callable[[Node, Report], None]


def checks_of(document: Node) -> tuple[Check, ...]:
    """Returns the comparisons for a file.

    Raises:
        UserError: if the file is of no known form.
    """
    from published.boxes import check_boxes
    from published.colors import check_colors
    from published.geometry import check_geometry, check_resizing
    from published.lengths import check_lengths
    from published.network import check_network
    from published.noise import check_noise
    from published.step import check_steps
    from published.validation import check_whole_images
    from published.windows import check_windows

    forms: dict[str, tuple[Check, ...]] = {
        "golden_step": (check_steps,),
        "golden_noise": (check_noise,),
        "golden_lengths": (check_lengths,),
        "golden_views": (check_geometry, check_resizing, check_colors, check_boxes),
        "golden_val": (check_whole_images, check_windows),
        "golden_resnet": (check_network,),
    }
    kind = document.get("file")
    name = "" if kind is None else kind.text()
    if kind is None and document.get("backbone"):
        name = "golden_resnet"
    if name not in forms:
        got = f"{name!r} in {document.file}" if name else f"no `file` in {document.file}"
        raise UserError(f"`file` one of {', '.join(list(forms)[:-1])}", got, "give a file of stated outputs")
    return forms[name]


@contextmanager
def one_thread() -> Iterator[None]:
    """Computes in one thread, as the stated numbers were: several threads sum in another order, visible in float32."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _refuse(error: UserError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Prints a table for every file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON files of stated outputs")
    passed = True
    for path in parser.parse_args().files:
        report = Report()
        try:
            document = read(path)
            with one_thread():
                for check in checks_of(document):
                    check(document, report)
            if not report.rows:
                raise UserError(f"stated outputs in {path}", "none", "give a whole file")
        except UserError as error:
            _refuse(error)
        except (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {(str(error) or '-').splitlines()[0]}"
            _refuse(UserError(f"numbers that fit together in {path}", reason, "give a whole file of that form"))
        print(f"{path}\n{report.table()}\n{report.summary()}\n", flush=True)
        passed = passed and report.passed
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
