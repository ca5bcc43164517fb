"""How much memory a process may still take."""

from __future__ import annotations

from pathlib import Path

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def free_memory(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Returns the bytes that are free on this machine and in this process's control groups; None if nothing says it.

    Args:
        proc: Linux's folder of that name.
        cgroups: Where the control groups are, of version 2.
    """
    known = []
    for line in _lines(proc / "meminfo"):
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            known.append(int(value.split()[0]) * 1024)
    for line in _lines(proc / "self" / "cgroup"):
        if line.startswith("0::"):
            group = cgroups / line.removeprefix("0::").strip().lstrip("/")
            # In a container, the path may be the host's.
            groups = [each for each in (group, *group.parents) if each == cgroups or cgroups in each.parents]
            known += [left for each in groups if (left := _left(each)) is not None]
    return max(0, min(known)) if known else None


def _left(group: Path) -> int | None:
    """What a control group may still take; the files that it read and can forget count as free."""
    limit, used = (_lines(group / name) for name in ("memory.max", "memory.current"))
    if not limit or not used or limit[0] == "max":
        return None
    facts = dict(line.split() for line in _lines(group / "memory.stat"))
    return int(limit[0]) - int(used[0]) + int(facts.get("inactive_file", 0))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
