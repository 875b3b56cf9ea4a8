"""Asking on a link: send, repeat by a timer, give up (PROFILE 2, 7, 9).

Four things are asked in the same way: that a Confirm be acknowledged, that a Keepalive be, that a Release be accepted,
and that a rekey go on. The message goes out and its timer starts. Each time the timer runs out, the same octets go out
again, until they have gone out as often as their number of transmissions says; then the state table is told that no
try is left, and decides what that means. An answer stops the timer, which is the caller's business.

How often a message has gone out is kept in the link, by timer. So one timer serves one question at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from prose_link.instant import Instant
from prose_link.pc5s.core.fsm import Input
from prose_link.pc5s.core.link import Link
from prose_link.pc5s.core.shared import Desk
from prose_link.pc5s.core.timers import Timer, TimerValues

_I = TypeVar("_I", bound=Enum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[_I]):
    """One thing that is asked: its timer, how long it waits and how often it is sent, and what the table is told."""

    timer: Timer
    wait_s: Callable[[TimerValues], float]
    transmissions: Callable[[TimerValues], int]
    tries_left: _I
    none_left: _I
    is_spread: bool = False
    """Whether each wait is drawn anew, as for T4100."""

    def ask(self, desk: Desk, link: Link, send: Callable[[], None], now: Instant) -> None:
        """Send for the first time."""
        link.sent[self.timer] = 0
        self.ask_again(desk, link, send, now)

    def ask_again(self, desk: Desk, link: Link, send: Callable[[], None], now: Instant) -> None:
        """Send once more, and wait again."""
        link.sent[self.timer] += 1
        send()
        wait_s = self.wait_s(desk.config.timers)
        desk.start(link, self.timer, desk.spread(wait_s) if self.is_spread else wait_s, now)

    def run_out(self, desk: Desk, link: Link) -> _I:
        """What it is to the state table that the timer has run out."""
        is_left = link.sent.get(self.timer, 0) < self.transmissions(desk.config.timers)
        return self.tries_left if is_left else self.none_left


CONFIRM_OR_KEEPALIVE: Final = Question(
    timer=Timer.T4101,
    wait_s=lambda timers: timers.t4101_s,
    transmissions=lambda timers: timers.n4101,
    tries_left=Input.T4101_TRIES_LEFT,
    none_left=Input.T4101_NONE_LEFT,
)
"""A Confirm, or the Security Mode Complete that stands for it, until the link is up; from then on a Keepalive."""
RELEASE: Final = Question(
    timer=Timer.T4103,
    wait_s=lambda timers: timers.t4103_s,
    transmissions=lambda timers: timers.n4103,
    tries_left=Input.T4103_TRIES_LEFT,
    none_left=Input.T4103_NONE_LEFT,
)
