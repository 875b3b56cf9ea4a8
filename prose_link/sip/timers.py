"""The timers of transactions: their letters, and how long each one runs (RFC 3261 table 4, RFC 6026)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Timer(Enum):
    """Timers by their letters."""

    A = "INVITE request repeated"
    B = "INVITE transaction given up"
    D = "responses to INVITE absorbed by the client"
    E = "other request repeated"
    F = "other transaction given up"
    G = "final response to INVITE repeated"
    H = "wait for ACK given up"
    I = "ACKs absorbed"  # noqa: E741
    J = "other requests absorbed"
    K = "responses to other requests absorbed"
    L = "INVITEs absorbed after a 2xx"
    M = "2xx of other branches taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerValues:
    """T1, T2, T4 (RFC 3261 table 4), and how long a request of any length may ring (timer C, for a user agent)."""

    t1_s: float = 0.5
    """Round trip, as estimated."""
    t2_s: float = 4.0
    """Longest interval between repetitions."""
    t4_s: float = 5.0
    """How long a message stays in the network."""
    ringing_s: float = 180.0
    """How long an INVITE may stay without final response (timer C, RFC 3261 16.6)."""

    @property
    def timeout_s(self) -> float:
        """64 * T1."""
        return 64 * self.t1_s


RELIABLE_UNUSED: Final = frozenset({Timer.A, Timer.E, Timer.G})
"""Timers that never run over a reliable transport."""
RELIABLE_ZERO: Final = frozenset({Timer.D, Timer.I, Timer.J, Timer.K})
"""Timers that are 0 over a reliable transport."""


def duration_s(timer: Timer, values: TimerValues, *, reliable: bool, repeats: int, settled: bool = False) -> float:
    """How long a timer runs.

    Args:
        timer: which one.
        values: T1, T2, T4.
        reliable: whether the transport is.
        repeats: how often the message has been repeated; doubles timers A, E and G.
        settled: a provisional response has come, so that timer E runs at T2 (RFC 3261 17.1.2.2).
    """
    if reliable and timer in RELIABLE_ZERO:
        return 0.0
    match timer:
        case Timer.A:
            return values.t1_s * 2.0 ** min(repeats, 16)
        case Timer.E:
            return values.t2_s if settled else min(values.t1_s * 2.0 ** min(repeats, 16), values.t2_s)
        case Timer.G:
            return min(values.t1_s * 2.0 ** min(repeats, 16), values.t2_s)
        case Timer.I | Timer.K:
            return values.t4_s
        case Timer.D:
            return max(32.0, values.timeout_s)
        case _:
            return values.timeout_s
