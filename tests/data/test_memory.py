import pytest

from psmt_viz.data.memory import free_memory

GIB = 2**30


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def proc(tmp_path):
    written(tmp_path / "proc" / "meminfo", f"MemTotal: 64 kB\nMemAvailable:   {8 * GIB // 1024} kB\n")
    return tmp_path / "proc"


def group(folder, limit, current, inactive=0):
    written(folder / "memory.max", f"{limit}\n")
    written(folder / "memory.current", f"{current}\n")
    written(folder / "memory.stat", f"anon 1\ninactive_file {inactive}\nactive_file 7\n")


def test_a_machine_without_control_groups(proc, tmp_path):
    assert free_memory(proc, tmp_path / "none") == 8 * GIB


def test_the_least_of_all_groups_above_counts(proc, tmp_path):
    written(proc / "self" / "cgroup", "12:cpu:/other\n0::/slice/job\n")
    cgroups = tmp_path / "cgroups"
    group(cgroups / "slice" / "job", "max", GIB)
    assert free_memory(proc, cgroups) == 8 * GIB
    group(cgroups / "slice", 5 * GIB, 3 * GIB, inactive=GIB)
    assert free_memory(proc, cgroups) == 3 * GIB
    group(cgroups / "slice" / "job", 4 * GIB, 2 * GIB)
    assert free_memory(proc, cgroups) == 2 * GIB
    group(cgroups / "slice" / "job", 4 * GIB, 5 * GIB)
    assert free_memory(proc, cgroups) == 0


def test_a_container_whose_path_is_the_hosts(proc, tmp_path):
    written(proc / "self" / "cgroup", "0::/docker/abc\n")
    group(tmp_path / "cgroups", 2 * GIB, GIB)
    assert free_memory(proc, tmp_path / "cgroups") == GIB


def test_nothing_is_known_elsewhere(tmp_path):
    assert free_memory(tmp_path, tmp_path) is None


def test_this_machine():
    free = free_memory()
    assert free is None or free > 2**20
