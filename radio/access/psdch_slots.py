"""Places a UE's discovery messages in the subframes of the discovery pool, away from those of other UEs.

At the start of a discovery period the UE is asked for the messages of the period and a resource for each; the pool says
in which subframes and on which PRBs each of them is repeated. The UE also gets the resources on which other UEs were
heard in the last two periods, so that it can avoid them.
"""

from __future__ import annotations

from collections.abc import Sequence

from radio.access.protocol import BroadcastSource
from radio.phy.lte.channels.transmissions import PsdchTx
from radio.phy.lte.pools.mode2 import DiscPool


class PsdchSlots:
    """The transmissions of a discovery period, which are fixed at its start."""

    def __init__(self, pool: DiscPool) -> None:
        self._pool = pool
        self._due: dict[int, PsdchTx] = {}
        self._taken: dict[int, set[int]] = {}

    def note_heard(self, subframes: Sequence[int], prb: int) -> None:
        """Note another UE's message: its resource is left to that UE in the next period."""
        period = self._pool.period_of(subframes[0])
        places = {(subframe, prb) for subframe in subframes}
        for n_psdch in range(self._pool.n_resources):
            if places & {(at, first) for at, first, _, _ in self._pool.transmissions(period, n_psdch)}:
                self._taken.setdefault(period, set()).add(n_psdch)

    def transmission(self, subframe: int, source: BroadcastSource) -> PsdchTx | None:
        """The discovery message due in a subframe; called for the subframes in order."""
        period = self._pool.period_of(subframe)
        if subframe == self._pool.period_start(period):
            self._due = {
                at: PsdchTx(prb=prb, rv=rv, message=announcement.message)
                for announcement in source.announcements(
                    self._pool.n_resources, n_t=self._pool.n_t, avoid=self._taken_before(period)
                )
                for at, prb, _, rv in self._pool.transmissions(period, announcement.resource)
            }
        return self._due.pop(subframe, None)

    def _taken_before(self, period: int) -> set[int]:
        """Resources in use in the last two periods: the last one may still be on the air now."""
        self._taken = {known: resources for known, resources in self._taken.items() if known >= period - 2}
        return set().union(*self._taken.values())
