from dataclasses import replace

import pytest

from psmt_viz.train.trainer import Trainer
from tests.train.by_hand import same


def test_the_control_has_no_teachers_and_the_same_warm_up(tiny, scenes):
    control = Trainer(tiny(method="supervised"), scenes)
    full = Trainer(tiny(), scenes)
    assert set(control.networks.by_role()) == set(control.learners) == {"student"}
    assert set(control.loaders) == {"labeled"}
    assert control.plan == replace(full.plan, ramp_steps=0)
    logs = list(control.steps(0, 2))
    list(full.steps(0, 2))
    assert same(control.networks.student.state_dict(), full.networks.student.state_dict())
    logs += [*control.steps(2, 4), *control.steps(4, 8)]
    assert [log.learning_rate for log in logs] == pytest.approx(
        [0.02, 0.02, *(0.02 * (1 - k / 6) ** 0.9 for k in range(6))]
    )
    assert {log.unsup_weight for log in logs} == {0.0}
    assert all(set(log.measured) == {"loss_sup"} for log in logs)
    assert len({log.measured["loss_sup"].item() for log in logs}) == 8
