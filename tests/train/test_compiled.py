import copy
import os

import pytest
import torch
from torch._dynamo.utils import counters

from psmt_viz.models import adapt
from psmt_viz.models.inference import decode_whole, encode_whole
from psmt_viz.train.compiled import compile_network
from psmt_viz.train.trainer import Trainer
from tests.models.small_networks import Own


def predicted(network, height, width):
    images = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return decode_whole(network.decode, encode_whole(network, images), (height, width), multiple=8)


def test_only_images_of_the_size_of_training_are_compiled(monkeypatch):
    calls = []

    def compiled(call, *, dynamic):
        assert dynamic is False
        return lambda *given: (calls.append(call.__name__), call(*given))[1]

    monkeypatch.setattr(torch, "compile", compiled)
    plain = adapt(Own())
    network = copy.deepcopy(plain)
    compile_network(network, 48)
    for height, width in ((48, 48), (48, 56), (56, 48), (64, 64)):
        assert torch.equal(predicted(network, height, width), predicted(plain, height, width))
    assert calls == ["encode", "decode"]


@pytest.mark.skipif("PSMT_VIZ_SLOW_TESTS" not in os.environ, reason="tracing takes a minute; set PSMT_VIZ_SLOW_TESTS")
def test_after_the_first_steps_nothing_is_compiled_anew(tiny, scenes, monkeypatch):
    compile_, seen = torch.compile, []
    monkeypatch.setattr(torch, "compile", lambda call, **how: compile_(call, backend="eager", **how))
    torch._dynamo.reset()
    plain, trainer = (Trainer(tiny(precision="bf16", compile=each), scenes) for each in (False, True))
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for first, last in ((0, 1), (2, 4), (4, 6)):  # the warm-up and two epochs, one of either teacher
            for log, expected in zip(trainer.steps(first, last), plain.steps(first, last), strict=True):
                for name, value in expected.measured.items():
                    torch.testing.assert_close(log.measured[name], value, rtol=1e-3, atol=1e-4, msg=name)
                seen.append(counters["stats"]["unique_graphs"])
        for height in (64, 72, 80):  # of validation, each of its own size
            predicted(trainer.networks.student, height, 56)
    assert seen[0] > 0 and seen[1] > seen[0]
    assert seen[-1] == counters["stats"]["unique_graphs"] == seen[2]
    torch._dynamo.reset()
