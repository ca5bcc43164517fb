"""Where maps are taken: any one layer, and nothing is left behind."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from psmt_viz.errors import UserError
from psmt_viz.models import Adapted
from psmt_viz.models.networks import Networks
from psmt_viz.perturb import frozen
from psmt_viz.probes.cam_layers import explained
from psmt_viz.probes.cam_methods import raw_map
from psmt_viz.probes.layers import SIDES


class Odd(nn.Module):
    """One layer used twice, one beside the way, one that gives two maps, one of another number of axes."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.act, self.aside = nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(3, 4, 1)
        self.pair, self.flat, self.head = Pair(), nn.Flatten(), nn.Conv2d(4, 2, 1)
        self.unused, self.several = nn.Conv2d(3, 4, 1), nn.ModuleList([nn.Conv2d(4, 4, 1)])

    def encode(self, images: Tensor) -> Tensor:
        self.aside(images)
        first, _ = self.pair(self.act(self.body(images)))
        self.flat(first)
        return self.act(self.several[0](first))

    def decode(self, z: Tensor, size: Any) -> Tensor:
        return self.head(z)


class Pair(nn.Module):
    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        return values, -values


@pytest.fixture
def odd() -> Adapted:
    torch.manual_seed(0)
    return Adapted(Odd(), multiple=1).eval()


def mapped(network: Adapted, layer: str, method: str = "gradcam") -> Any:
    mask = torch.ones(6, 5, dtype=torch.bool).numpy()
    with frozen(network), explained(network, layer) as model:
        return raw_map(model, torch.rand(1, 3, 6, 5), method=method, target=1, mask=mask)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("act", "used once for an image, got act, used 2 times; choose the block around it, or one inside"),
        ("unused", "used once for an image, got unused, used 0 times"),
        ("several", "used once for an image, got several, used 0 times"),
        ("pair", r"gives one map \(B, C, h, w\), got tuple of pair; choose a layer inside or around it"),
        ("flat", r"gives one map \(B, C, h, w\), got shape \(1, 120\) of flat"),
        ("aside", "--layer on which the logits depend, got aside"),
        ("bodi", "--layer z, logits or a module of the student, got 'bodi'; did you mean body"),
        ("XYZ!", "got 'XYZ!'; choose one, for instance z, logits, body, act, aside, pair"),
        ("", "--layer z, logits or a module"),
    ],
)
def test_layers_that_cannot_be_mapped(odd: Adapted, layer: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        mapped(odd, layer)
    assert not hooks_of(odd)


@pytest.mark.parametrize("layer", [*SIDES, "body", "several.0", "head"])
def test_layers_that_can(odd: Adapted, layer: str) -> None:
    found = mapped(odd, layer)
    assert found.shape == (6, 5)
    assert (found >= 0).all()


def hooks_of(network: nn.Module) -> list[str]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [name for name, module in network.named_modules() if any(getattr(module, kind) for kind in kinds)]


def state_of(network: nn.Module) -> Any:
    modules = [(name, id(module), module.training) for name, module in network.named_modules()]
    return modules, [(parameter.requires_grad, parameter.grad) for parameter in network.parameters()]


def test_the_hook_is_there_while_it_is_needed(odd: Adapted) -> None:
    with explained(odd, "body"):
        assert hooks_of(odd) == ["network.body"]
    assert not hooks_of(odd)


@pytest.mark.parametrize("method", ["gradcam", "shapleycam", "ablationcam", "scorecam"])
@pytest.mark.parametrize("call", [0, 1, 2])
def test_nothing_is_left_behind_after_an_error(
    networks: Networks, method: str, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IndexError, because pytorch-grad-cam's context manager would swallow it."""
    student = networks.student
    own, calls = student.decode, []

    def decode(z: Tensor, size: Any) -> Tensor:
        calls.append(z)
        if len(calls) > call:
            raise IndexError("broken on purpose")
        return own(z, size)

    monkeypatch.setattr(student, "decode", decode)
    before = state_of(networks)
    mask = torch.ones(48, 64, dtype=torch.bool).numpy()
    gradient_based = method in ("gradcam", "shapleycam")
    with frozen(networks), explained(student, "decoder.0") as model:
        if gradient_based and call:
            raw_map(model, torch.rand(1, 3, 48, 64), method=method, target=1, mask=mask)  # one forward pass is all
            calls.extend([torch.zeros(())] * call)
        with pytest.raises(IndexError, match="broken on purpose"):
            raw_map(model, torch.rand(1, 3, 48, 64), method=method, target=1, mask=mask)
        assert hooks_of(networks) == ["student.decoder.0"]
    assert not hooks_of(networks)
    assert state_of(networks) == before
