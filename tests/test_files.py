import hashlib
import json
import os
from pathlib import Path

import pytest

from psmt_viz.errors import UserError
from psmt_viz.files import atomic_write, output_folder, read_json, sha256, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_at_the_end_of_the_block(tmp_path):
    path = tmp_path / "table.csv"
    with atomic_write(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".csv"
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, "old"])
def test_a_failing_writer_changes_nothing(tmp_path, error, old):
    path = tmp_path / "table.csv"
    if old is not None:
        path.write_text(old)
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error
    assert names(tmp_path) == ([] if old is None else ["table.csv"])
    assert old is None or path.read_text() == old


def test_a_writer_that_removes_its_file_is_an_error_and_the_old_one_stays(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(path) as temporary:
        temporary.unlink()
    assert path.read_text() == "old"


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_are_as_shareable_as_any_other(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "ours.txt", "a")
        (tmp_path / "plain.txt").write_text("a")
        after = os.umask(umask)
    finally:
        os.umask(before)
    assert after == umask
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("ours.txt", "plain.txt")]
    assert modes == [0o666 & ~umask] * 2


def test_text_is_utf8_with_unix_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"


def test_json_round_trip_keeps_values_and_order(tmp_path):
    value = {"z": [1, 2.5, None], "a": {"é": True, "tiny": 5e-324, "third": 1 / 3}}
    write_json(tmp_path / "a.json", value)
    back = read_json(tmp_path / "a.json")
    assert back == value
    assert list(back) == ["z", "a"]
    assert "é" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_json_that_others_cannot_read_is_not_written(tmp_path):
    (tmp_path / "a.json").write_text("1")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"miou": float("nan")})
    assert (tmp_path / "a.json").read_text() == "1"
    assert names(tmp_path) == ["a.json"]


def test_reading_json_that_is_missing_or_broken(tmp_path):
    with pytest.raises(UserError, match=r"a file .*none\.json, got nothing there; check the path"):
        read_json(tmp_path / "none.json")
    path = tmp_path / "half.json"
    path.write_text(json.dumps({"a": 1})[:-1])
    with pytest.raises(UserError, match=r"JSON in .*half\.json, got Expecting"):
        read_json(path)
    path.write_bytes(b'"\xff"')
    with pytest.raises(UserError, match=r"JSON in .*half\.json, got 'utf-8' codec"):
        read_json(path)


def test_reading_a_folder_as_json(tmp_path):
    with pytest.raises(UserError, match=tmp_path.name):
        read_json(tmp_path)


def test_sha256_of_a_published_example(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    large = bytes(range(256)) * 5000
    (tmp_path / "b").write_bytes(large)
    assert sha256(tmp_path / "b") == hashlib.sha256(large).hexdigest()


def test_folders_are_numbered_and_never_reused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [output_folder(None, "tsne", "mine") for _ in range(3)]
    assert made == [Path("runs/tsne/mine-1"), Path("runs/tsne/mine-2"), Path("runs/tsne/mine-3")]
    made[1].rmdir()
    (tmp_path / "runs/tsne/mine-4").write_text("a file has the name too")
    assert output_folder(None, "tsne", "mine") == Path("runs/tsne/mine-2")
    assert output_folder(None, "tsne", "mine") == Path("runs/tsne/mine-5")
    assert output_folder(None, "gradcam", "mine") == Path("runs/gradcam/mine-1")


def test_a_given_folder_is_made_and_keeps_what_it_holds(tmp_path):
    folder = tmp_path / "a" / "b"
    assert output_folder(folder, "tsne", "mine") == folder
    (folder / "notes.txt").write_text("mine")
    assert output_folder(folder, "tsne", "mine") == folder
    assert names(folder) == ["notes.txt"]


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_folder_that_cannot_be_made(tmp_path, out):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=rf"a writable folder .*{out}, got (file exists|not a directory); .*--out"):
        output_folder(tmp_path / out, "tsne", "mine")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match=r"a writable folder .*, got permission denied"):
        output_folder(tmp_path, "tsne", "mine")


def test_a_user_error_is_one_line():
    error = UserError("a\nthing", "none  at all", "make\tone")
    assert str(error) == "expected a thing, got none at all; make one"
    assert (error.expected, error.got, error.fix) == ("a\nthing", "none  at all", "make\tone")
