import os
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from psmt_viz.errors import UserError
from psmt_viz.models.build import build_networks
from psmt_viz.presets import configure
from psmt_viz.train.memory import SavedTensors, estimate_memory
from psmt_viz.train.optim import make_optimizer
from psmt_viz.train.trainer import Trainer

CLASSES = 7


def estimated(config):
    """The estimate for one device, with the division that the plan makes."""
    method, parts = config.method, config.system.accumulate
    unlabeled = method.batch_unlabeled if method.method == "psmt" else 0
    return estimate_memory(config, CLASSES, labeled=method.batch_labeled // parts, unlabeled=unlabeled // parts)


def saved_in_graph(*roots):
    """Bytes of the storages that the nodes of a graph hold: found by walking it, without any hook."""
    found, seen, queue = {}, set(), [root.grad_fn for root in roots]
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        queue += [next_node for next_node, _ in node.next_functions]
        for name in dir(node):
            value = getattr(node, name) if name.startswith("_saved_") else None
            for tensor in value if isinstance(value, tuple | list) else [value]:
                if isinstance(tensor, Tensor):
                    found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    return found


class Living(TorchDispatchMode):
    """The bytes of all tensors that live, storage by storage, and their highest sum."""

    def __init__(self, tensors):
        super().__init__()
        self._known, self.now, self.peak = {}, 0, 0
        for tensor in tensors:
            self._add(tensor)

    def _add(self, tensor):
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known[key] = weakref.ref(storage, lambda _: self._remove(key, size))
            self.now += size
            self.peak = max(self.peak, self.now)

    def _remove(self, key, size):
        del self._known[key]
        self.now -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_iter(result):
            if isinstance(value, Tensor):
                self._add(value)
        return result


@pytest.mark.parametrize("preset", ["scenes", "voc_mini"])
@pytest.mark.parametrize(("labeled", "unlabeled"), [(2, 3), (3, 2)])
def test_what_autograd_keeps_is_what_a_real_graph_holds(preset, labeled, unlabeled):
    values = {"data": "scenes", "pretrained": False, "crop": 65, "perturbation": "none"}
    config = configure(preset, {**values, "batch_labeled": labeled, "batch_unlabeled": unlabeled})
    network = build_networks(config.model, [str(index) for index in range(CLASSES)]).student.train()

    def held(count, *, mixed):
        """Bytes of one pass through the network."""
        images, label = torch.rand(count, 3, 65, 65), torch.randint(0, CLASSES, (count, 65, 65))
        logits = network(images)
        losses = F.cross_entropy(logits, label, reduction="none", ignore_index=255)
        if mixed:
            losses = torch.rand(count, 65, 65) * losses
        graph = saved_in_graph((losses.flatten(1).sum(dim=1) * torch.rand(count)).sum())
        for tensor in network.state_dict().values():
            graph.pop(tensor.untyped_storage().data_ptr(), None)
        return sum(graph.values()) + images.numel() * 4 + 2 * logits.numel() * 4

    # The two passes follow each other.
    expected = max(held(labeled, mixed=False), held(unlabeled, mixed=True))
    assert estimated(config).activations == pytest.approx(expected, abs=64)


def test_a_storage_counts_once_and_weights_do_not():
    weight, x = torch.rand(4, requires_grad=True), torch.rand(8)
    saved = SavedTensors([weight])
    with saved.counting():
        first = (weight * x[:4]).sum() + (weight * x[4:]).sum()
    assert saved.size == 8 * 4  # two views of one tensor
    with saved.counting():
        weight.exp()
    assert saved.size == 8 * 4 + 4 * 4
    first.backward()
    torch.testing.assert_close(weight.grad, x[:4] + x[4:])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"accumulate": 2},
        {"perturbation": "vat"},
        {"perturbation": "none"},
        {"method": "supervised"},
        {"precision": "bf16"},
        {"backbone": "tf_efficientnet_lite0", "aspp_channels": 64, "output_stride": 16},
    ],
    ids=lambda values: "-".join(map(str, values.values())) or "tvat",
)
def test_a_real_step_needs_about_what_was_estimated(tiny, scenes, values):
    # Large enough for the maps to outweigh what the estimate leaves out.
    sizes = {"crop": 96, "batch_labeled": 4, "batch_unlabeled": 4, "aspp_channels": 32, "decoder_channels": 32}
    config = tiny(**{**sizes, "warmup_epochs": 1, "steps_per_epoch": 1, **values})
    trainer = Trainer(config, scenes)
    with Living(trainer.networks.state_dict(keep_vars=True).values()) as living:
        list(trainer.steps(0, 1))
        before = living.peak = living.now
        list(trainer.steps(1, 2))
    assert living.peak > 1.5 * before
    assert 0.95 < estimated(config).total / living.peak < 1.2


def test_weights_gradients_and_momentum_are_those_of_all_networks(tiny):
    config = tiny()
    networks = build_networks(config.model, [str(index) for index in range(CLASSES)], teachers=("teacher1", "teacher2"))
    estimate = estimated(config)
    assert estimate.weights == sum(each.numel() * each.element_size() for each in networks.state_dict().values())
    held = 0
    for network in networks.by_role().values():
        optimizer = make_optimizer(network, config.optim)
        network(torch.rand(2, 3, 32, 32)).mean().backward()
        optimizer.step()
        held += sum(state["momentum_buffer"].numel() * 4 for state in optimizer.state.values())
    assert estimate.gradients == sum(each.grad.numel() * 4 for each in networks.parameters()) > 0
    assert estimate.momentum == held
    assert estimated(tiny(momentum=0.0)).momentum == 0
    # Without a warm-up the teachers never have any.
    alone = estimated(tiny(warmup_epochs=0))
    assert (3 * alone.gradients, 3 * alone.momentum) == (estimate.gradients, estimate.momentum)
    assert estimated(tiny(method="supervised")).weights * 3 == estimate.weights


def test_moments_grow_linearly_with_the_batch(tiny):
    few, some, many = (estimated(tiny(batch_labeled=each, batch_unlabeled=each)) for each in (2, 4, 6))
    for name in ("batch", "pseudo_labels", "search", "activations"):
        sizes = [getattr(each, name) for each in (few, some, many)]
        assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0, name
        # What does not depend on the batch, such as BatchNorm's statistics, is small.
        assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.01), name
    assert few.weights == some.weights == many.weights


def test_accumulation_divides_the_moments_and_leaves_the_rest(tiny):
    sizes = {"batch_labeled": 8, "batch_unlabeled": 8}
    whole, cut = estimated(tiny(**sizes)), estimated(tiny(**sizes, accumulate=4))
    for name in ("pseudo_labels", "search", "activations"):
        assert getattr(cut, name) == pytest.approx(getattr(whole, name) / 4, rel=0.02), name
    for name in ("weights", "momentum", "batch"):
        assert getattr(cut, name) == getattr(whole, name), name
    # Beside those of three networks, those of the parts of one that are done.
    assert cut.gradients == whole.gradients * 4 / 3
    assert cut.total < whole.total


def test_the_total_takes_the_fullest_moment(tiny):
    estimate = estimated(tiny())
    moments = sorted((estimate.pseudo_labels, estimate.search, estimate.activations))
    always = estimate.weights + estimate.gradients + estimate.momentum + estimate.batch
    assert estimate.total == always + moments[-1] > always + moments[-2]
    assert estimated(tiny(perturbation="none")).search == estimated(tiny(method="supervised")).search == 0
    # The teachers' two decoders keep more than the student's one.
    assert estimate.search > estimated(tiny(perturbation="vat")).search > 0


def test_short_numbers_halve_what_the_network_keeps(tiny):
    sizes = {"crop": 96, "batch_labeled": 8, "batch_unlabeled": 8}
    long, bf16, fp16 = (estimated(tiny(**sizes, precision=each)) for each in ("fp32", "bf16", "fp16"))
    assert 0.5 < bf16.activations / long.activations < 0.7
    assert fp16.activations == bf16.activations
    assert bf16.search < fp16.search < long.search  # the search of fp16 is long
    assert bf16.weights == long.weights


def test_the_published_network_is_told_without_loading_it(tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # loading ImageNet weights through the hub would warn
        estimate = estimated(configure("voc", {"data": "scenes", "accumulate": 8}))
    # Its 40.5 million parameters, in each of three networks, and once more for the parts that are done.
    assert estimate.gradients == pytest.approx(4 * 4 * 40.5e6, rel=0.1)
    assert estimate.total > 2 * 2**30


def test_an_unknown_network_is_the_users_error(tiny):
    with pytest.raises(UserError, match="did you mean resnet50"):
        estimated(tiny(backbone="resnet5O"))


MEASURE = """
import re
from pathlib import Path

import torch

from psmt_viz.config import Config
from psmt_viz.data.scenes import Scenes
from psmt_viz.train.trainer import Trainer


def kib(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])


config = Config.from_dict({settings!r})
data = Scenes(train=16, val=4, size=64)
torch.nn.Conv2d(3, 8, 3)(torch.rand(1, 3, 32, 32)).sum().backward()
before = kib("VmRSS")
list(Trainer(config, data).steps(0, 1))
print((kib("VmHWM") - before) * 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of a process")
def test_a_process_grows_by_about_what_was_estimated():
    values = {"data": "scenes", "pretrained": False, "crop": 129, "batch_labeled": 4, "batch_unlabeled": 4}
    config = configure("voc_mini", {**values, "classes": (), "split": "1_4", "warmup_epochs": 0})
    command = [sys.executable, "-c", MEASURE.replace("{settings!r}", repr(config.as_dict()))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    measured = int(done.stdout)
    assert measured > 200 * 2**20
    assert 0.5 < estimated(config).total / measured < 2
