"""Perturbations seen several at a time: only where no bit changes, and only as many as memory allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from psmt_viz import load_run
from psmt_viz.data import Scenes
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import frozen
from psmt_viz.probes import together
from psmt_viz.probes.kinds import predictor
from psmt_viz.probes.perturb import perturb
from psmt_viz.probes.together import Together
from tests.probes.test_perturb import assert_equal


@pytest.fixture(scope="module")
def shipped() -> Networks:
    return load_run()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list to which every decoding adds how many z it was given."""
    seen: list[int] = []
    decode = Networks.decode

    def spy(self: Networks, role: str, z: Tensor, size: Sequence[int]) -> Tensor:
        seen.append(len(z))
        return decode(self, role, z, size)

    monkeypatch.setattr(Networks, "decode", spy)
    return seen


def test_the_shipped_run_sees_several_at_a_time_and_no_bit_changes(
    shipped: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Scenes()
    seen = counted(monkeypatch)
    given: dict[str, Any] = {"kinds": ("pgd", "tvat-official", "dropout"), "ids": data.ids("val")[:2]}
    alone = perturb(shipped, data, batch=1, **given)
    assert set(seen) == {1}
    calls = len(seen)
    for batch in (4, 8):
        seen.clear()
        assert_equal(alone, perturb(shipped, data, batch=batch, **given))
        assert max(seen) == batch and len(seen) < calls / 2


class Uneven(nn.Module):
    """Rounds differently for several images than for one."""

    multiple = 1

    def encode(self, images: Tensor) -> Tensor:
        return images

    def decode(self, z: Tensor, size: Sequence[int]) -> Tensor:
        return z * (1 + 1e-6 * (len(z) > 2))


def test_other_rounding_is_noticed() -> None:
    networks = Networks(student=Uneven(), teachers={}, classes=("a", "b", "c"))
    z = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    tried = Together(networks, ("student",), 4)
    with frozen(networks):
        predict = predictor(networks, "student", (4, 5))
        for count in (1, 2, 3, 4, 3):
            assert tried.judged(z, (4, 5), count) == (count <= 2)
            assert tried.climbed(predict, z, (4, 5), count) == (count <= 2)


def test_large_images_are_seen_one_by_one(shipped: Networks) -> None:
    tried = Together(shipped, ("student",), 8)
    small, large = (128, 128), (1024, 2048)
    assert tried.most(small) == 8
    assert tried.most(large) == 1
    assert len(shipped.classes) * 8 * 128**2 <= together._LOGITS < len(shipped.classes) * 2 * 1024 * 2048
