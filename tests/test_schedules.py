import math

import numpy as np
import pytest

from psmt_viz.schedules import poly, ramp_up


@pytest.mark.parametrize(
    ("kind", "step", "expected"),
    [
        # exp(-5), exp(-5/4) and exp(0) by hand; the cosine ramp is sin^2(pi t / 2).
        ("gaussian", 0, 0.006737946999085467),
        ("gaussian", 50, 0.2865047968601901),
        ("gaussian", 75, 0.7316156289466418),
        ("gaussian", 100, 1.0),
        ("cosine", 0, 0.0),
        ("cosine", 50, 0.5),
        ("cosine", 75, math.sin(3 * math.pi / 8) ** 2),
        ("cosine", 100, 1.0),
    ],
)
def test_ramp_at_known_points(kind, step, expected):
    assert ramp_up(step, 100, kind=kind) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["gaussian", "cosine"])
def test_ramp_rises_to_one_and_stays_there(kind):
    values = np.array([ramp_up(step, 37, kind=kind) for step in range(80)])
    assert (np.diff(values[:38]) > 0).all()
    assert (values[37:] == 1).all()
    assert (values[:37] < 1).all()


@pytest.mark.parametrize("kind", ["gaussian", "cosine"])
def test_no_ramp_is_full_weight_from_the_first_step(kind):
    assert [ramp_up(step, 0, kind=kind) for step in (0, 1, 9)] == [1, 1, 1]


def test_the_gaussian_ramp_is_the_default():
    assert ramp_up(3, 8) == ramp_up(3, 8, kind="gaussian") != ramp_up(3, 8, kind="cosine")


def test_poly_against_logarithms():
    for step in (0, 1, 250, 999):
        assert poly(step, 1000) == pytest.approx(math.exp(0.9 * math.log((1000 - step) / 1000)), rel=1e-12)
    assert poly(0, 10) == 1
    assert poly(5, 10, power=2) == 0.25
    assert poly(5, 10, power=1) == 0.5


def test_poly_ends_at_zero_and_never_goes_below():
    assert [poly(step, 10) for step in (10, 11, 100)] == [0, 0, 0]
