"""Progress off a terminal: plain lines on standard error with rate and ETA, from a clock that the test winds."""

from __future__ import annotations

import io
import re
import sys

import pytest

import psmt_viz.progress as module
from psmt_viz.progress import progress


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    seen = capsys.readouterr()
    assert seen.out == ""
    return seen.err.splitlines()


def test_a_line_every_15_seconds_and_one_at_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", 100) as advance:
        for step in range(100):
            clock.now += 0.5  # two units a second, 50 seconds in all
            advance(f"loss {step}")
    assert lines_of(capsys) == [
        "train 30/100, 2.0/s, ETA 35 s, loss 29",
        "train 60/100, 2.0/s, ETA 20 s, loss 59",
        "train 90/100, 2.0/s, ETA 5 s, loss 89",
        "train 100/100, 2.0/s, ETA 0 s, loss 99",
    ]


def test_quick_work_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("evaluate", 3) as advance:
        for _ in range(3):
            advance("")
    (line,) = lines_of(capsys)
    assert re.fullmatch(r"evaluate 3/3, \d+\.\d/s, ETA 0 s", line)


def test_the_rate_is_that_of_what_was_done_here(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", 100, done=80) as advance:
        for _ in range(20):
            clock.now += 4.0
            advance("")
    assert lines_of(capsys) == [
        "train 84/100, 0.2/s, ETA 64 s",
        "train 88/100, 0.2/s, ETA 48 s",
        "train 92/100, 0.2/s, ETA 32 s",
        "train 96/100, 0.2/s, ETA 16 s",
        "train 100/100, 0.2/s, ETA 0 s",
    ]


def test_work_that_takes_no_time_has_a_rate_too(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("evaluate", 1) as advance:
        advance("")
    assert lines_of(capsys)[0].startswith("evaluate 1/1, ")


def test_an_error_passes_through_and_claims_no_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), progress("train", 10) as advance:
        clock.now += 20
        advance("")
        raise ZeroDivisionError
    assert lines_of(capsys) == ["train 1/10, 0.1/s, ETA 180 s"]


def test_work_inside_other_work_shows_nothing_of_its_own(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train", "again"):  # the outer one is free for the next work afterwards
        with progress(name, 1) as outer:
            with progress("evaluate", 1) as inner:
                clock.now += 1
                inner("")
            outer("")
    assert lines_of(capsys) == ["train 1/1, 1.0/s, ETA 0 s", "again 1/1, 1.0/s, ETA 0 s"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("step", [0.5, 0.0])
def test_on_a_terminal_there_is_a_bar_on_standard_error(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: float
) -> None:
    """Also where the clock is too coarse to see a unit of work pass (0.0)."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress("train", 4) as advance:
        for _ in range(4):
            clock.now += step
            advance("loss 1.5")
    shown = terminal.getvalue()
    assert "train" in shown
    assert "4/4" in shown
    assert "loss 1.5" in shown
    assert ("2.0/s" in shown) == (step > 0)
    assert capsys.readouterr().out == ""
