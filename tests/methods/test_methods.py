"""The folder of methods as a whole."""

from pathlib import Path

from psmt_viz import methods
from psmt_viz.cli.settings import Settings
from psmt_viz.config import FIELDS
from psmt_viz.methods import METHODS
from psmt_viz.settings import names_of
from psmt_viz.train.methods import steps_of


def test_every_file_is_a_method_of_its_name():
    files = {path.stem for path in Path(methods.__file__).parent.glob("*.py")} - {"__init__", "settings"}
    assert set(METHODS) == files and {"psmt", "supervised"} <= files
    for name, settings in METHODS.items():
        assert settings().method == name


def test_every_method_has_steps_of_the_same_name():
    classes = {name: steps_of(name) for name in METHODS}
    assert len(set(classes.values())) == len(METHODS)
    assert all(steps.__module__ == f"psmt_viz.train.methods.{name}" for name, steps in classes.items())


def test_every_setting_of_every_method_is_one_flag():
    for settings in METHODS.values():
        assert set(names_of(settings)) <= {name for name, group in FIELDS.items() if group == "method"}
    assert names_of(Settings) == list(FIELDS)
