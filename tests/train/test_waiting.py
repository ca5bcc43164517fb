import types

import pytest
import torch

from psmt_viz.train import waiting as module
from psmt_viz.train.waiting import Waiting


class Event:
    """An event of a GPU that has `queued` seconds of work before it when it is recorded."""

    now, busy_until = 0.0, 0.0

    recorded, waited_for = 0, 0

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = max(Event.now, Event.busy_until)
        Event.recorded += 1
        self.number = Event.recorded

    def synchronize(self):
        Event.waited_for = self.number

    def elapsed_time(self, other):
        assert self.number < other.number <= Event.waited_for
        return 1000 * (other.at - self.at)


@pytest.fixture
def clock(monkeypatch):
    Event.now = Event.busy_until = 0.0
    monkeypatch.setattr(module, "time", types.SimpleNamespace(perf_counter=lambda: Event.now))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    return Event


def test_a_cpu_waits_as_long_as_the_block(clock):
    waiting = Waiting(torch.device("cpu"))
    for seconds in (0.5, 0.25):
        clock.now += 10
        with waiting.for_data():
            clock.now += seconds
    assert (waiting.seconds(), waiting.seconds()) == (0.75, 0.0)


@pytest.mark.parametrize(("queued", "expected"), [(0.0, 0.5), (0.2, 0.3), (0.5, 0.0), (3.0, 0.0)])
def test_a_gpu_waits_once_it_has_done_what_was_queued(clock, queued, expected):
    waiting = Waiting(torch.device("cuda"))
    clock.now, clock.busy_until = 7.0, 7.0 + queued
    with waiting.for_data():
        clock.now += 0.5
    assert waiting.seconds() == pytest.approx(expected)
    assert waiting.seconds() == 0


def test_a_gpus_times_add_up(clock):
    waiting = Waiting(torch.device("cuda"))
    for _ in range(3):
        clock.busy_until = clock.now + 0.2
        with waiting.for_data():
            clock.now += 0.5
    assert waiting.seconds() == pytest.approx(0.9)
