import math

import pytest

from psmt_viz.config import FIELDS
from psmt_viz.errors import UserError
from psmt_viz.methods import METHODS
from psmt_viz.settings import flag_of, names_of

SETTINGS = sorted(name for name, group in FIELDS.items() if group == "method" and name != "method")
SWITCHES = {"count_padding", "drop_last"}
WRONG = {
    "warmup_steps": [-1],
    "images_per_gpu": [0],
    "loss_mean": ["image"],
    "best_by": ["student"],
    "warmup_epochs": [-1],
    "epochs": [0],
    "steps_per_epoch": [0],
    "batch_labeled": [0],
    "batch_unlabeled": [0],
    "labeled_stream": ["again"],
    "teacher_start": ["imagenet"],
    "teacher_heads": ["xavier"],
    "pseudo_labels": ["both"],
    "sup_loss": ["dice"],
    "ohem_threshold": [0, 1.1, math.nan],
    "ohem_kept": [0],
    "unsup_weight": [-0.1, math.nan, math.inf],
    "ramp": ["linear"],
    "ramp_epochs": [-1, math.nan],
    "confidence": [-0.1, 1, math.nan],
    "assist_top": [0],
    "cutmix": ["two"],
    "perturbation": ["random"],
    "eps": [0, math.inf],
    "noise": ["normal"],
    "xi": [0, -1, math.nan, math.inf],
    "norm_floor": [-1e-8, math.nan],
    "ema": [-0.1, 1, math.nan],
    "consistency_weight": [-0.1, math.nan, math.inf],
}


def with_setting(name):
    """Every method that has a setting."""
    return [settings for settings in METHODS.values() if name in names_of(settings)]


def test_every_number_and_choice_has_a_bound():
    assert sorted([*WRONG, *SWITCHES]) == SETTINGS


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_bounds_name_the_flag_and_the_value_in_every_method(name, value):
    for settings in with_setting(name):
        with pytest.raises(UserError) as caught:
            settings.of({name: value})
        assert str(caught.value).startswith(f"expected {flag_of(name)} ")
        assert f"got {value!r}; " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ohem_threshold", 1),
        ("ohem_kept", 1),
        ("xi", None),
        ("xi", 1e-6),
        ("norm_floor", 0),
        ("warmup_epochs", 0),
        ("ramp_epochs", 0),
        ("confidence", 0),
        ("ema", 0),
        ("steps_per_epoch", None),
        ("assist_top", 1),
    ],
)
def test_the_bounds_themselves_are_allowed(name, value):
    for settings in with_setting(name):
        assert getattr(settings.of({name: value}), name) == value


@pytest.mark.parametrize(("batch", "per_gpu", "groups"), [(32, 8, 4), (8, 8, 1), (4, 8, 1), (8, None, 1), (16, 4, 4)])
def test_groups_are_the_gpus_that_a_batch_stands_for(batch, per_gpu, groups):
    for settings in METHODS.values():
        assert settings(batch_labeled=batch, images_per_gpu=per_gpu).groups == groups


@pytest.mark.parametrize("name", METHODS)
def test_the_facts_of_a_method_fit_together(name):
    method = METHODS[name]()
    roles = ("student", *method.teachers)
    assert method.title and set(method.learners) <= set(roles) and "student" in method.learners
    assert len(set(method.columns)) == len(method.columns)
    assert {"epoch", "step", "learning_rate", "unsup_weight", "loss_sup", f"miou_{method.best_role}"} <= {
        *method.columns
    }
    assert {f"miou_{role}" for role in roles} <= set(method.columns)
    both = {"unlabeled": ("weak", "strong")} if method.needs_unlabeled else {}
    assert method.loaders(warmup=False) == {"labeled": ("strong",), **both}
    alone = {role: ("weak",) for role in method.learners if role != "student"}
    assert method.loaders(warmup=True) == {"labeled": ("strong",), **alone}
    assert method.images_per_step == (16 if method.needs_unlabeled else 8)
