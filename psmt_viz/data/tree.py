"""What lies where in a data set's folder."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


class Tree:
    """Answers what lies below a folder, by paths with forward slashes, relative to it; the disk is asked each time.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)

    def is_file(self, path: str) -> bool:
        """Returns whether there is a file."""
        return os.path.isfile(f"{self._root}/{path}")  # noqa: PTH113 (a hundred thousand are asked for)

    def is_dir(self, path: str) -> bool:
        """Returns whether there is a folder."""
        return os.path.isdir(f"{self._root}/{path}")  # noqa: PTH112

    def size(self, path: str) -> int:
        """Returns the bytes of a file; -1 where there is none."""
        try:
            found = os.stat(f"{self._root}/{path}")  # noqa: PTH116
        except OSError:
            return -1
        return found.st_size if stat.S_ISREG(found.st_mode) else -1


class ListedTree(Tree):
    """The same, of a moment: each folder is listed once, so that questions about many files are answered from memory.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._listed: set[str] = set()
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def is_file(self, path: str) -> bool:
        """Returns whether there is a file."""
        return path in self._files or (self._list_around(path) and path in self._files)

    def is_dir(self, path: str) -> bool:
        """Returns whether there is a folder."""
        return path in self._folders or (self._list_around(path) and path in self._folders)

    def _list_around(self, path: str) -> bool:
        """Lists the folder that a path is in; returns whether it had not been listed."""
        above, slash, _ = path.rpartition("/")
        if above in self._listed:
            return False
        self._listed.add(above)
        with suppress(OSError), os.scandir(f"{self._root}/{above}") as entries:
            for entry in entries:
                if entry.is_file():
                    self._files.add(f"{above}{slash}{entry.name}")
                elif entry.is_dir():
                    self._folders.add(f"{above}{slash}{entry.name}")
        return True
