"""Files that appear whole or not at all, and the folders they go to."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psmt_viz.errors import UserError

_FULL = 2**16
"""Bytes that are free on a full disk, at most."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` that becomes `path` in one step when the block succeeds.

    A reader sees the old file or the new one, never half of either; a failed block leaves nothing behind.

    Raises:
        OSError: if the disk fails or is full, whatever the writing library itself raised.
    """
    # The suffix is kept because savers (matplotlib, pandas) choose the format by it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes private files; results are as shareable as any other
        temporary.replace(path)
    except OSError:
        raise
    except Exception as error:
        if (number := _errno(error, path.parent)) is not None:
            raise OSError(number, os.strerror(number), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _errno(error: Exception, folder: Path) -> int | None:
    """Returns the system's error number of a library's own exception, or None if it comes from elsewhere."""
    if (told := re.search(r"\(os error (\d+)\)", str(error))) is not None:  # safetensors
        return int(told[1])
    return errno.ENOSPC if shutil.disk_usage(folder).free < _FULL else None  # torch says nothing


def leftovers(folder: Path, names: Iterable[str]) -> list[Path]:
    """Returns the temporary files of `atomic_write` that a killed process left in a folder.

    Args:
        folder: The folder.
        names: Of the files that it may have been writing, or patterns of names.
    """
    patterns = [f"{_prefix(name)}{'[a-z0-9_]' * 8}{name.suffix}" for name in map(Path, names)]
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _prefix(path: Path) -> str:
    """What the temporary names of a file begin with; eight characters and the file's suffix follow."""
    return f".{path.stem}-"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text whole."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Writes JSON whole, indented, with keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"a file {path}", "nothing there", "check the path") from None
    except OSError as error:
        raise UserError(f"a readable file {path}", (error.strerror or str(error)).lower(), "check the path") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"JSON in {path}", f"{error}", "restore the file or make it again") from None


def sha256(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def output_folder(out: Path | None, command: str, name: str) -> Path:
    """Returns an existing, writable folder for a command's files.

    Args:
        out: The folder that the user asked for; it may exist and hold other files.
        command: Without `out`, the results go to `runs/<command>/<name>-<n>` with the first number not yet used.
        name: What the results are of, for example the run's name.

    Raises:
        UserError: if the folder cannot be made or written to.
    """
    if out is None:
        number = 1
        while (folder := Path("runs", command, f"{name}-{number}")).exists():
            number += 1
    else:
        folder = out
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"a writable folder {folder}", reason.lower(), "choose another folder with --out") from None
    return folder
