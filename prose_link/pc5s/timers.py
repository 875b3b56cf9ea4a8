"""Timers of PC5-S: names, values, and the set that says which is due (PROFILE 2; names of TS 24.334 13.2)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

N4100: Final = 4
"""Transmissions of a Request on carriers that repeat for themselves, and of a key to a whole group (PROFILE 2)."""


class Timer(Enum):
    """The timers of one link."""

    T4100 = "waiting for the Accept"
    T4101 = "waiting for a Keepalive Ack"
    T4102 = "until the next Keepalive"
    T4103 = "waiting for the Release Accept, or for the silence after it"
    T4108 = "longest silence of the peer"
    T4111 = "life of a provisional link"
    REKEY_T4100 = "waiting for the Rekeying Response"
    REKEY_T4101 = "waiting for the Ack of a rekey's Confirm"
    REKEY_T4111 = "life of a context that waits for its Confirm"
    T_OLD = "how long the old context is still received"
    REKEY_DUE = "age of KD, or end of a key period"
    KEYS_END = "the end of what a key period allows"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerValues:
    """Durations in seconds; how often Request (`n4100`), Confirm or Keepalive (`n4101`) and Release (`n4103`) are sent.

    The defaults are for the direct carrier at SC periods of 40 to 80 ms: a Request repeats after 6 periods or more, and
    a set-up comes through more than 99 times in 100 where three PDUs in ten are lost. `keying_s` is T4100 of groups.
    """

    t4100_s: float = 0.5
    n4100: int = 12
    t4101_s: float = 0.3
    n4101: int = 12
    t4102_s: float = 10.0
    t4103_s: float = 0.5
    n4103: int = 3
    keying_s: float = 0.6
    t4111_s: float = 6.0
    t_old_s: float = 2.0
    t4100_other_carriers_s: float = 10.0
    t4111_other_carriers_s: float = 30.0

    def t4100(self, carrier: str) -> float:
        """T4100 on a carrier."""
        return self.t4100_s if carrier == DIRECT else self.t4100_other_carriers_s

    def requests(self, carrier: str) -> int:
        """How often a Request is sent on a carrier."""
        return self.n4100 if carrier == DIRECT else N4100

    def t4111(self, carrier: str) -> float:
        """T4111 on a carrier."""
        return self.t4111_s if carrier == DIRECT else self.t4111_other_carriers_s


DIRECT: Final = "direct"
"""The carrier that is the sidelink itself."""

_Owner = TypeVar("_Owner", bound=Hashable)


class TimerSet(Generic[_Owner]):
    """Running timers by owner; deadlines on the monotonic clock. Equal deadlines fall due in the order of starting."""

    def __init__(self) -> None:
        self._deadlines: dict[tuple[_Owner, Timer], float] = {}

    def start(self, owner: _Owner, timer: Timer, deadline_s: float) -> None:
        """Start or restart a timer."""
        self._deadlines.pop((owner, timer), None)
        self._deadlines[owner, timer] = deadline_s

    def stop(self, owner: _Owner, *timers: Timer) -> None:
        """Stop timers, running or not."""
        for timer in timers:
            self._deadlines.pop((owner, timer), None)

    def stop_all(self, owner: _Owner) -> None:
        """Stop every timer of an owner."""
        self.stop(owner, *Timer)

    def runs(self, owner: _Owner, timer: Timer) -> bool:
        """Whether a timer is running."""
        return (owner, timer) in self._deadlines

    def next_deadline_s(self) -> float | None:
        """The earliest deadline, None if nothing runs."""
        return min(self._deadlines.values(), default=None)

    def due(self, now_s: float) -> Iterator[tuple[_Owner, Timer]]:
        """Stop and yield every timer that has run out, earliest first."""
        while self._deadlines:
            key = min(self._deadlines, key=self._deadlines.__getitem__)
            if self._deadlines[key] > now_s:
                return
            del self._deadlines[key]
            yield key
