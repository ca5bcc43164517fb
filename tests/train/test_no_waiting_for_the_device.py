"""The steps of training on torch's device without numbers, `meta`, where nobody can ask for one.

A number of a tensor (`item`, `bool`, a mask as an index) and a copy to the host raise there, as they make the host wait
for a GPU; copies to the device, which wait unless they say that they do not, are counted.
"""

import contextlib

import pytest
import torch
from lightning_fabric.accelerators import CPUAccelerator
from torch.utils._python_dispatch import TorchDispatchMode

from psmt_viz.data.loader import Batch
from psmt_viz.train.engine import Engine
from psmt_viz.train.method import StepLog, TrainingMethod
from psmt_viz.train.random_draws import RandomDraws
from psmt_viz.train.trainer import Trainer

DEVICE = torch.device("meta")
_tensor = torch.tensor


class Copies(TorchDispatchMode):
    """Counts copies to the device for which the host waits, and all operations."""

    def __init__(self):
        super().__init__()
        self.waiting, self.operations = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = kwargs or {}
        self.operations += 1
        if function is torch.ops.aten._to_copy.default and given.get("device") is not None:
            self._look(args[0].device, given["device"], given.get("non_blocking", False))
        if function is torch.ops.aten.copy_.default:
            self._look(args[1].device, args[0].device, len(args) > 2 and args[2])
        return function(*args, **given)

    def tensor(self, data, *, device="cpu", **given):
        """In place of `torch.tensor`, which makes its numbers on the host, where this mode does not see them."""
        return _tensor(data, **given).to(device)

    def _look(self, source, target, free):
        self.waiting += source.type == "cpu" and target == DEVICE and not free


class HostDraws(RandomDraws):
    """Everything but what the device's own generators draw, for there is none."""

    def start(self, step, branch, images, z, *, uniform):
        assert len(images) == len(z)
        return torch.rand_like(z) if uniform else torch.randn_like(z)


@pytest.fixture
def take(tiny, scenes, monkeypatch):
    """Takes a step with some settings on the device; returns what was copied and its log."""
    monkeypatch.setattr(CPUAccelerator, "setup_device", lambda *_: None)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)  # which is not known there
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())

    def take(step, steps=None, **values):
        config = tiny(**{"batch_labeled": 4, "batch_unlabeled": 4, **values})
        engine = Engine(system=config.system)
        engine.launch()
        engine._fabric.strategy._root_device = DEVICE
        trainer = Trainer(config, scenes, engine=engine, draws=HostDraws(config), method=steps)
        assert {values.device for values in trainer.networks.state_dict().values()} == {DEVICE}
        views = torch.zeros(2, 4, 3, config.views.crop, config.views.crop, dtype=torch.uint8, device=DEVICE)
        batch = Batch(images={"weak": views[0], "strong": views[1]}, label=views[0, :, 0])
        names = config.method.loaders(warmup=step < trainer.plan.warmup_steps)
        with Copies() as copies, monkeypatch.context() as patch:
            patch.setattr(torch, "tensor", copies.tensor)
            log = trainer.method.step(step, dict.fromkeys(names, batch))
        return copies, log

    return take


@pytest.mark.parametrize("step", [0, 2, 7], ids=["warm-up", "ramp-up", "after it"])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"recipe": "official-code"},
        {"accumulate": 2, "images_per_gpu": 2, "loss_mean": "gpu"},
        {"cutmix": "three", "perturbation": "vat", "channels_last": True},
        {"sup_loss": "ohem"},
        {"method": "supervised"},
        {"method": "mean_teacher", "ramp_epochs": 2},
    ],
    ids=lambda values: ", ".join(f"{name} {value}" for name, value in values.items()) or "psmt",
)
def test_no_step_waits_for_the_device(take, step, values):
    copies, log = take(step, **values)
    assert copies.operations > 300
    assert copies.waiting == 0
    searched = values.get("method") is None and step > 0
    assert {value.device for value in log.measured.values()} == {DEVICE}
    assert log.faults.device == DEVICE if searched else log.faults is None


@pytest.mark.parametrize(
    "wait",
    [
        lambda values: values.sum().item(),
        lambda values: bool((values > 0).any()),
        lambda values: values[values > 0],
        lambda values: torch.equal(values, values),
        lambda values: values.cpu(),
        lambda values: values.sum(dim=1).tolist(),
    ],
)
def test_who_asks_for_a_number_is_refused(take, wait):
    class Asking(TrainingMethod):
        def step(self, step, batches):
            wait(batches["labeled"].weak)

    with pytest.raises((RuntimeError, NotImplementedError), match=r"meta|nonzero|equal"):
        take(0, Asking)


@pytest.mark.parametrize(
    ("send", "waits"),
    [
        (lambda values: torch.tensor([1, 2], device=DEVICE), 1),
        (lambda values: values.to(DEVICE), 1),
        (lambda values: torch.zeros(2, device=DEVICE).copy_(values), 1),
        (lambda values: values.to(DEVICE, non_blocking=True), 0),
        (lambda values: torch.arange(2, device=DEVICE), 0),
    ],
)
def test_copies_that_wait_are_counted(take, send, waits):
    class Sending(TrainingMethod):
        def step(self, step, batches):
            send(torch.ones(2))
            return StepLog(measured={}, learning_rate=0.0)

    assert take(0, Sending)[0].waiting == waits
