"""A second Ctrl-C is told from the first, and from what supervisors and terminals send."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from lab_scripts.exit_codes import ExitCode
from lab_scripts.runs.stop_signals import StopSignals, ending_signals


@pytest.fixture
def stop() -> Iterator[StopSignals]:
    before = {number: signal.getsignal(number) for number in ending_signals()}
    yield StopSignals()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_second_ctrl_c_is_urgent(stop: StopSignals) -> None:
    signal.raise_signal(signal.SIGINT)
    assert stop() and not stop.is_urgent()
    signal.raise_signal(signal.SIGINT)
    assert stop.is_urgent() and stop.exit_code is ExitCode.INTERRUPTED


def test_a_supervisor_that_asks_twice_is_not(stop: StopSignals) -> None:
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert stop() and not stop.is_urgent()


def test_ctrl_c_after_a_supervisor_is(stop: StopSignals) -> None:
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert stop.is_urgent()
