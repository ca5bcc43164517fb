import sys

import pytest

from psmt_viz.errors import UserError
from psmt_viz.plugins import load_object

MINE = """
import helper_of_{name}

def make():
    return helper_of_{name}.VALUE


number = 3
nothing = None
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module of the user's in the working directory, which is not on Python's path."""
    name = f"objects_of_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MINE.format(name=name))
    (tmp_path / f"helper_of_{name}.py").write_text("VALUE = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each not in ("", str(tmp_path))])
    yield name
    for each in (name, f"helper_of_{name}"):
        sys.modules.pop(each, None)


def load(name):
    return load_object(name, flag="--model", example="my_models:make")


def test_objects_come_from_the_working_directory_with_their_helpers(module):
    assert load(f"{module}:make")() == 7
    assert load(f"{module}:number") == 3


def test_the_working_directory_is_searched_last_and_once(module, tmp_path, monkeypatch):
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").write_text("dumps = None\n")
    monkeypatch.delitem(sys.modules, "json")
    assert load("json:dumps")([1]) == "[1]"
    load(f"{module}:make")
    assert sys.path[-1] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_dotted_modules(module):
    import os.path

    assert load("os.path:join") is os.path.join


@pytest.mark.parametrize(
    "name", ["{}", "{}:", ":make", "{}.make", "{}:make:more", "{}.py:make()", "a b:make", "./{}:X"]
)
def test_a_name_of_another_form_is_refused(module, name):
    with pytest.raises(UserError, match=r"expected --model module:name, got .*; write it like my_models:make"):
        load(name.format(module))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "{}_absent:make",
            r"a module .*_absent for --model .*_absent:make, got No module named .*; check the spelling",
        ),
        ("{}.deeper:make", r"a module .*\.deeper for --model .*, got .*is not a package"),
        ("{}:mkae", r"a name mkae for --model .*, got none in .*py; did you mean .*:make\?"),
        ("{}:xyzzy", r"a name xyzzy for --model .*; check the spelling"),
        ("{}:nothing", r"a name nothing for --model .*got none in .*py"),
    ],
)
def test_what_cannot_be_found(module, name, words):
    with pytest.raises(UserError, match=words) as caught:
        load(name.format(module))
    assert "\n" not in str(caught.value)


def test_a_module_that_misses_another_says_which(module, tmp_path):
    (tmp_path / "leaning_model.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(UserError, match=r"leaning_model.*No module named 'not_installed_anywhere'"):
        load("leaning_model:make")


def test_a_module_with_a_mistake_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "half_written.py").write_text("def make(:\n")
    with pytest.raises(UserError, match=r"a module half_written for --model half_written:make, got SyntaxError: "):
        load_object("half_written:make", flag="--model", example="my_models:make")
