"""Requests on a link that are repeated until they are answered: send, repeat by a timer, give up (PROFILE 2, 7, 9).

Four messages use the same procedure: a Confirm that waits for its Ack, a Keepalive that waits for its Ack, a Release
that waits for its Accept, and a rekey. The message is sent and its timer starts. Each time the timer expires, the same
octets are sent again, until they have been sent as often as the number of transmissions allows. Then the state table
gets the input "no try left" and decides what follows. An answer stops the timer; the caller does that.

The link counts the transmissions of its current message. So one timer serves one such request at a time.
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
    """A message that is repeated, with its timer, its number of transmissions, and its inputs to the table."""

    timer: Timer
    wait_s: Callable[[TimerValues], float]
    transmissions: Callable[[TimerValues], int]
    tries_left: _I
    none_left: _I
    is_spread: bool = False
    """Whether each waiting time is drawn at random, as for T4100."""

    def ask(self, desk: Desk, link: Link, send: Callable[[], None], now: Instant) -> None:
        """Send the message for the first time and start its timer."""
        link.sent[self.timer] = 0
        self.ask_again(desk, link, send, now)

    def ask_again(self, desk: Desk, link: Link, send: Callable[[], None], now: Instant) -> None:
        """Send the message once more and start its timer again."""
        link.sent[self.timer] += 1
        send()
        wait_s = self.wait_s(desk.config.timers)
        desk.start(link, self.timer, desk.spread(wait_s) if self.is_spread else wait_s, now)

    def run_out(self, desk: Desk, link: Link) -> _I:
        """The input that the state table gets because the timer has expired."""
        is_left = link.sent.get(self.timer, 0) < self.transmissions(desk.config.timers)
        return self.tries_left if is_left else self.none_left


CONFIRM_OR_KEEPALIVE: Final = Question(
    timer=Timer.T4101,
    wait_s=lambda timers: timers.t4101_s,
    transmissions=lambda timers: timers.n4101,
    tries_left=Input.T4101_TRIES_LEFT,
    none_left=Input.T4101_NONE_LEFT,
)
"""The Confirm (or Security Mode Complete) until the link is up; from then on the Keepalives."""
RELEASE: Final = Question(
    timer=Timer.T4103,
    wait_s=lambda timers: timers.t4103_s,
    transmissions=lambda timers: timers.n4103,
    tries_left=Input.T4103_TRIES_LEFT,
    none_left=Input.T4103_NONE_LEFT,
)
