"""Puts a UE's discovery messages into the subframes of the discovery pool, away from those of others."""

from __future__ import annotations

from collections.abc import Sequence

from prose_link.discovery.entity import DiscoveryEntity
from prose_link.instant import Instant
from prose_link.ue.pdu_tap import Sightings
from radio.phy.lte.channels.transmissions import PsdchTx
from radio.phy.lte.pools.mode2 import DiscPool


class Announcer:
    """What goes out in a discovery period is settled at its start."""

    def __init__(self, pool: DiscPool | None, discovery: DiscoveryEntity, sightings: Sightings) -> None:
        self._pool = pool
        self._discovery = discovery
        self._sightings = sightings
        self._due: dict[int, PsdchTx] = {}
        self._taken: dict[int, set[int]] = {}

    def note_heard(self, subframes: Sequence[int], prb: int) -> None:
        """Somebody's message was heard: its resource is left to them in the next period."""
        if self._pool is None:
            return
        period = self._pool.period_of(subframes[0])
        places = {(subframe, prb) for subframe in subframes}
        for n_psdch in range(self._pool.n_resources):
            if places & {(at, first) for at, first, _, _ in self._pool.transmissions(period, n_psdch)}:
                self._taken.setdefault(period, set()).add(n_psdch)

    def transmission(self, subframe: int, now: Instant) -> PsdchTx | None:
        """The discovery message due in a subframe; subframes are asked for in order."""
        if self._pool is None:
            return None
        period = self._pool.period_of(subframe)
        if subframe == self._pool.period_start(period):
            self._due = {
                at: PsdchTx(prb=prb, rv=rv, message=due.data)
                for due in self._discovery.transmissions(
                    self._pool.n_resources, now, n_t=self._pool.n_t, avoid=self._taken_before(period)
                )
                for at, prb, _, rv in self._pool.transmissions(period, due.n_psdch)
            }
        transmission = self._due.pop(subframe, None)
        if transmission is not None and transmission.rv == 0:
            self._sightings.see("discovery", "tx", transmission.message, subframe=subframe)
        return transmission

    def _taken_before(self, period: int) -> set[int]:
        """Resources heard in use in the last two periods: the last one may still be on the air when this is asked."""
        self._taken = {known: resources for known, resources in self._taken.items() if known >= period - 2}
        return set().union(*self._taken.values())
