import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only

from psmt_viz.config import SystemConfig
from psmt_viz.errors import UserError
from psmt_viz.train.engine import Engine
from psmt_viz.train.trainer import Trainer
from tests.train import two_processes
from tests.train.two_processes import WAYS, taken

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What each of two processes saw that trained together."""
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-m", two_processes.__name__, folder, "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in (0, 1)]


@pytest.fixture(scope="module")
def alone():
    """What one process saw with both micro-batches, and, where that means the same, with the whole batch."""
    told = {(way, 2): taken(way, devices=1, accumulate=2) for way in WAYS}
    return told | {("fixed statistics", 1): taken("fixed statistics", devices=1, accumulate=1)}


@pytest.mark.parametrize(
    ("way", "step", "accumulate"),
    [*((way, "step", 2) for way in WAYS), ("method", "warm-up", 2), ("fixed statistics", "step", 1)],
)
def test_two_processes_take_the_step_of_one(together, alone, way, step, accumulate):
    expected, found = alone[way, accumulate][step], together[0][way][step]
    assert found["gradients"].keys() == expected["gradients"].keys()
    largest = max(float(values.abs().max()) for values in expected["gradients"].values())
    assert largest > 0.1
    for name, values in expected["gradients"].items():
        torch.testing.assert_close(found["gradients"][name], values, rtol=0, atol=1e-5 * largest, msg=name)
    for name, values in expected["networks"].items():
        torch.testing.assert_close(found["networks"][name], values, rtol=1e-5, atol=1e-6, msg=name)
    assert found["measured"].keys() == expected["measured"].keys()
    assert (set(expected["measured"]) == {"loss_sup"}) == (step == "warm-up")
    for name, value in expected["measured"].items():
        torch.testing.assert_close(found["measured"][name], value, rtol=1e-5, atol=0, msg=name)


def test_another_number_of_micro_batches_is_another_step(together):
    """BatchNorm sees a micro-batch, so the gradients of the whole batch are others: the comparison above can fail."""
    whole, cut = taken("method", devices=1, accumulate=1)["step"], together[0]["method"]["step"]
    for name in ("loss_sup", "loss_unsup", "confident_fraction"):
        assert not torch.allclose(cut["measured"][name], whole["measured"][name], rtol=1e-3), name


@pytest.mark.parametrize("way", WAYS)
def test_both_processes_end_a_step_alike(together, way):
    first, second = (told[way]["step"] for told in together)
    assert first["networks"].keys() == second["networks"].keys()
    for name, values in first["networks"].items():
        assert torch.equal(values, second["networks"][name]), name
    assert any(name.endswith("running_var") for name in first["networks"])
    assert first["measured"] == second["measured"]


@pytest.mark.parametrize("step", ["warm-up", "step"])
def test_each_process_reads_its_own_images(together, alone, step):
    shares = [told["method"][step]["read"] for told in together]
    every = alone["method", 2][step]["read"]
    loaders = 3 if step == "warm-up" else 2
    assert [len(share) for share in shares] == [2 * loaders] * 2 and len(every) == 4 * loaders
    for place in range(loaders):
        first, second = (share[2 * place : 2 * place + 2] for share in shares)
        assert not set(first) & set(second)
        assert first + second == every[4 * place : 4 * place + 4]


def test_no_process_reads_an_unlabelled_image_twice_in_an_epoch(together, alone):
    ranks = [told["method"]["epochs"] for told in together]
    assert [len(steps) for steps in ranks] == [6, 6]
    epochs = []
    for epoch in (range(3), range(3, 6)):
        drawn = [id for step in epoch for steps in ranks for id in steps[step]]
        assert len(drawn) == len(set(drawn)) == 12  # of 13 images
        epochs.append(drawn)
    assert epochs[0] != epochs[1]
    # Without a new order the image that an epoch leaves out would come first in the next.
    assert set(epochs[0]) & set(epochs[1][:1])
    together_in_order = [first + second for first, second in zip(*ranks, strict=True)]
    assert together_in_order == alone["method", 2]["epochs"]


def test_processes_know_their_place_and_talk(together):
    for rank, told in enumerate(together):
        assert [told["method"][name] for name in ("rank", "main", "world_size")] == [rank, rank == 0, 2]
        assert told["method"]["any"] == [False, True, True]
        assert told["method"]["broadcast"] == ("from", 0)


def test_one_process_is_the_main_one():
    engine = Engine()
    engine.launch()
    assert (engine.rank, engine.is_main_process, engine.world_size, engine.device) == (0, True, 1, torch.device("cpu"))
    values = torch.tensor([1.0, 2.0])
    assert engine.sum(values) is values and engine.broadcast(values) is values
    assert engine.any(True) and not engine.any(False)
    engine.close()


@pytest.mark.parametrize(
    ("device", "given", "words"),
    [
        ("cpu", {"devices": 0}, "at least one device, each named once, and one node, got --devices 0, --nodes 1"),
        ("cpu", {"nodes": 0}, "at least one device, .* got --devices 1, --nodes 0"),
        ("cuda", {"devices": []}, r"at least one device, .* got --devices \[\]"),
        ("cuda", {"devices": [1, 1]}, r"each named once, .* got --devices \[1, 1\]"),
        ("cpu", {"devices": [0, 1]}, r"a number of processes with --device cpu, got \(0, 1\); give --devices N"),
        ("cuda", {"devices": 3}, "--devices among the 2 of kind cuda, got 3; lower --devices, or use --device cpu"),
        ("cuda", {"devices": [0, 2]}, r"--devices among the 2 of kind cuda, got \[0, 2\]"),
        ("cuda", {"devices": [-1]}, r"--devices among the 2 of kind cuda, got \[-1\]"),
        ("cuda:2", {}, r"--devices among the 2 of kind cuda, got \[2\]"),
        ("mps", {"devices": 2}, "--devices among the 1 of kind mps, got 2"),
        ("cpu", {"system": SystemConfig(precision="fp16")}, r"fp16 on a GPU .*, got --device cpu; choose bf16 or fp32"),
    ],
)
def test_devices_that_there_are_not(monkeypatch, device, given, words):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=words) as caught:
        Engine(device, **given)
    assert "\n" not in str(caught.value)


def test_a_batch_that_the_processes_cannot_share_is_refused_before_they_start(tiny, scenes):
    config = tiny(batch_labeled=3)
    engine = Engine(devices=2)
    engine.launch = lambda: None
    with pytest.raises(UserError, match="--batch-labeled that 2 devices x --accumulate 1 can share equally, got 3"):
        Trainer(config, scenes, engine=engine)


def test_torchrun_says_how_many_processes_there_are(monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    values = {"TORCHELASTIC_RUN_ID": "a", "RANK": 3, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2, "WORLD_SIZE": 6}
    for name, value in (values | {"GROUP_RANK": 1, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}).items():
        monkeypatch.setenv(name, str(value))
    assert Engine().world_size == 6


def first_losses(tiny, scenes, **values):
    trainer = Trainer(tiny(perturbation="tvat", **values), scenes)
    logs = [log for first in range(0, 8, 2) for log in trainer.steps(first, first + 2)]
    unmeasured = torch.tensor(torch.nan)
    return trainer, torch.stack(
        [torch.stack([log.measured.get(name, unmeasured) for name in ("loss_sup", "loss_unsup")]) for log in logs]
    )


def test_bf16_trains_on_a_cpu_much_like_fp32(tiny, scenes):
    _, exact = first_losses(tiny, scenes)
    trainer, short = first_losses(tiny, scenes, precision="bf16")
    assert torch.isfinite(short[2:]).all() and torch.isfinite(short[:, 0]).all()
    assert not torch.equal(short[0, 0], exact[0, 0])
    # bfloat16 has 8 bits of significand, so a rounding is 0.4 % at most.
    torch.testing.assert_close(short[0, 0], exact[0, 0], rtol=0.01, atol=0)
    torch.testing.assert_close(short, exact, rtol=0.1, atol=0, equal_nan=True)
    assert {parameter.dtype for parameter in trainer.networks.parameters()} == {torch.float32}
    assert trainer.engine.grad_scaler_state() == {}


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
@pytest.mark.skipif("PSMT_VIZ_SLOW_TESTS" not in os.environ, reason="compiling takes minutes; set PSMT_VIZ_SLOW_TESTS")
def test_a_compiled_network_takes_the_same_step(tiny, scenes):
    logs = [next(Trainer(tiny(warmup_epochs=0, compile=each), scenes).steps(0, 1)) for each in (False, True)]
    for name, value in logs[0].measured.items():
        torch.testing.assert_close(logs[1].measured[name], value, rtol=1e-3, atol=0, msg=name)
