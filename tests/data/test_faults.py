from pathlib import Path

from psmt_viz.data.faults import Fault, first_error, relative, some


def fault(**facts):
    return Fault(**({"kind": "k", "where": "a.png", "expected": "a mask", "found": "none", "fix": "add it"} | facts))


def test_a_fault_becomes_an_error_that_says_where_and_how_to_find_the_others(tmp_path):
    error = fault().error(tmp_path)
    assert (error.expected, error.got) == ("a mask", "none (a.png)")
    assert error.fix == f"add it (psmt-viz checks --data {tmp_path} lists every fault)"


def test_the_place_is_not_said_twice_and_a_missing_folder_cannot_be_checked(tmp_path):
    error = fault(expected="a mask a.png").error(tmp_path / "nowhere")
    assert (error.got, error.fix) == ("none", "add it")


def test_warnings_do_not_keep_data_from_being_read():
    warning, error = fault(severity="warning"), fault(found="two")
    assert first_error([warning, error]) is error
    assert first_error([warning]) is None


def test_paths_are_shown_from_the_folder_where_they_lie_inside():
    assert relative(Path("/data/masks/a.png"), Path("/data")) == "masks/a.png"
    assert relative(Path("/lists/l.txt"), Path("/data")) == str(Path("/lists/l.txt"))


def test_many_items_are_counted_and_a_few_are_named():
    assert some(["a"]) == "1: a"
    assert some([f"a{i}" for i in range(7)]) == "7: a0, a1, a2, a3, a4, ..."
