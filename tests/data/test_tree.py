import os

import pytest

from psmt_viz.data.tree import ListedTree, Tree

PATHS = (
    *("a.jpg", "in", "in/b.png", "in/deep/c.png", "in/.hidden", "link.jpg", "folderlink", "folderlink/b.png"),
    *("broken.jpg", "missing", "missing/x", "in/missing", "a.jpg/x", "in/name.png", "in/deep", "B.JPG"),
)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "name.png").mkdir()
    for size, path in enumerate(("a.jpg", "in/b.png", "in/deep/c.png", "in/.hidden")):
        (tmp_path / path).write_bytes(b"x" * size)
    (tmp_path / "link.jpg").symlink_to("in/b.png")
    (tmp_path / "folderlink").symlink_to("in")
    (tmp_path / "broken.jpg").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize("kind", [Tree, ListedTree])
def test_both_answer_what_the_disk_says(root, kind):
    tree = kind(root)
    for path in PATHS:
        there = root / path
        assert tree.is_file(path) == there.is_file(), path
        assert tree.is_dir(path) == there.is_dir(), path
        assert tree.size(path) == (there.stat().st_size if there.is_file() else -1), path


def test_a_folder_is_listed_once(root, monkeypatch):
    listed, scan = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scan(path))
    tree = ListedTree(root)
    for path in (*PATHS, *PATHS):
        tree.is_file(path), tree.is_dir(path)
    assert len(listed) == len(set(listed)) <= 6


def test_a_listed_folder_is_that_of_a_moment(root):
    now, tree = Tree(root), ListedTree(root)
    assert not tree.is_file("new.jpg")
    (root / "new.jpg").write_bytes(b"")
    assert now.is_file("new.jpg") and not tree.is_file("new.jpg")
