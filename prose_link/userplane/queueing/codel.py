"""CoDel: when a queue drops, so that packets don't wait in it (RFC 8289).

A queue that is long for a moment takes up a burst, and that is what queues are for. One that stays long is of no use:
each packet waits behind others, and the link is as busy with a short one. CoDel looks at how long each packet has
waited when it is taken out. Once that has been above `target_s` for a whole `interval_s`, it drops a packet, and then
one after ever shorter times (interval / sqrt(n)) until a packet has waited less. TCP halves its window at a drop, so
that the rate of drops finds the window by itself, whatever the rate of the link.

Where a packet says that its ends know ECN (RFC 3168), it is marked in the place of the first drop, and goes on.

Names are those of RFC 8289 section 5: `first_above_s` is first_above_time_, `drop_next_s` drop_next_, `count` and
`last_count` count_ and lastcount_. Time is passed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

RECENT_INTERVALS: Final = 16
"""A queue that is bad again within so many intervals goes on near the rate of drops it had (RFC 8289 5.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodelConfig:
    """When a queue counts as standing.

    RFC 8289 4: the interval is about the longest round trip of the path, the target a tenth of it or less, but
    not less than the link holds packets by its own nature: on the sidelink up to an SC period.
    """

    target_s: float = 0.040
    interval_s: float = 0.400
    mtu_octets: int = 1500
    """A queue with no more than this behind the packet taken out is short (MAXPACKET)."""


class Codel:
    """The state of one queue: `must_drop` is asked of each packet in the order in which they are taken out."""

    def __init__(self, config: CodelConfig) -> None:
        self._config = config
        self._first_above_s: float | None = None
        self._drop_next_s = 0.0
        self._dropping = False
        self.count = 0
        self._last_count = 0

    def must_drop(self, waited_s: float, octets_behind: int, now_s: float) -> bool:
        """Whether the packet just taken out goes no further; to be asked again of the next one until it says False.

        Args:
            waited_s: how long the packet was in the queue.
            octets_behind: what the queue holds after it.
            now_s: the present time.
        """
        may_drop = self._is_standing(waited_s, octets_behind, now_s)
        if self._dropping:
            if not may_drop:
                self._dropping = False
                return False
            if now_s < self._drop_next_s:
                return False
            self.count += 1
            self._drop_next_s = self._control_law(self._drop_next_s)
            return True
        if not may_drop:
            return False
        self._begin_dropping(now_s)
        return True

    def note_empty(self) -> None:
        """There was no packet to take out."""
        self._first_above_s = None
        self._dropping = False

    def _is_standing(self, waited_s: float, octets_behind: int, now_s: float) -> bool:
        """Whether packets have waited too long for a whole interval (RFC 8289 5.6, dodequeue)."""
        if waited_s < self._config.target_s or octets_behind <= self._config.mtu_octets:
            self._first_above_s = None
            return False
        if self._first_above_s is None:
            self._first_above_s = now_s + self._config.interval_s
            return False
        return now_s >= self._first_above_s

    def _begin_dropping(self, now_s: float) -> None:
        """The first drop of a bad time (RFC 8289 5.5, dequeue)."""
        delta = self.count - self._last_count
        is_recent = now_s - self._drop_next_s < RECENT_INTERVALS * self._config.interval_s
        self.count = delta if delta > 1 and is_recent else 1
        self._last_count = self.count
        self._dropping = True
        self._drop_next_s = self._control_law(now_s)

    def _control_law(self, start_s: float) -> float:
        return start_s + self._config.interval_s / math.sqrt(self.count)
