import numpy as np
import pytest

from psmt_viz.data.scenes.shapes import SHAPES

# Areas in units of the squared radius, computed from each shape's corners and radii.


AREAS = {
    "disk": lambda form: np.pi * (0.72 + 0.28 * form),
    "box": lambda form: 4 * 0.85 * (0.50 + 0.30 * form),
    "triangle": lambda form: 1.5 * np.sqrt(0.75) * (0.85 + 0.3 * form),
    "ring": lambda form: np.pi * (1 - (0.42 + 0.2 * form) ** 2),
    "star": lambda form: 10 * 0.5 * (0.40 + 0.14 * form) * np.sin(np.pi / 5),
    "cross": lambda form: 8 * 0.95 * (0.24 + 0.14 * form) - 4 * (0.24 + 0.14 * form) ** 2,
}


@pytest.mark.parametrize("name", AREAS)
@pytest.mark.parametrize("form", [0.0, 1.0])
def test_shapes_have_their_areas_and_fit_their_circle(name, form):
    line = np.linspace(-1.3, 1.3, 801)
    inside = SHAPES[name](line[None, :], line[:, None], form) < 0
    assert inside.sum() * (line[1] - line[0]) ** 2 == pytest.approx(AREAS[name](form), rel=0.02)
    assert not inside[np.hypot(line[None, :], line[:, None]) > 1.2].any()
