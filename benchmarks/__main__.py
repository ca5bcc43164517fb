"""Runs the benchmarks and writes RESULTS.md.

python -m benchmarks                 # all of them
python -m benchmarks tsne loading    # some; the sections of the others stay as they are
"""

from __future__ import annotations

import argparse
import platform
import re
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks.pairs import Section

_NONE = {"__init__", "__main__", "pairs", "step_reference"}
NAMES = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - _NONE)
RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = "# Results\n\nWritten by `python -m benchmarks`; what each measures is in [README.md](README.md).\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    names = parser.parse_args().names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"expected {', '.join(NAMES)}; got {', '.join(sorted(unknown))}")
    for name in names:
        sections: list[Section] = import_module(f"benchmarks.{name}").measure()
        write(name, sections)


def write(name: str, sections: list[Section]) -> None:
    """Puts a benchmark's sections into RESULTS.md, in place of those of its last run."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else _HEAD
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    tables = "\n\n".join(f"### {each.title}\n\n{each.about}\n\n{_markdown(each)}" for each in sections)
    parts[name] = f"\n{machine()}\n\n{tables}\n\n"
    body = "".join(f"## {known}\n{parts[known]}" for known in NAMES if known in parts)
    RESULTS.write_text(f"{_HEAD}\n{body}".rstrip() + "\n", encoding="utf-8")
    print(tables, flush=True)


def machine() -> str:
    """Says when, on what and with which versions."""
    libraries = ("torch", "torchvision", "numpy", "scipy", "openTSNE", "opencv-python-headless", "matplotlib")
    versions = ", ".join(f"{each} {version(each)}" for each in libraries)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} thread(s)"
    return f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {device}; Python {platform.python_version()}, {versions}."


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    return found.group(1) if found else platform.processor() or platform.machine()


def _markdown(section: Section) -> str:
    table = section.table.astype(str)
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
