"""Joins a UE's radio with its synchronisation role: a fixed reference, a follower, or the whole procedure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

from prose_link.instant import Instant
from prose_link.sync.broadcast import slss_tx
from prose_link.sync.entity import SyncEntity
from prose_link.sync.events import BecameSyncRef, BecomeReference, Follow, Scan, SyncAction, SyncEvent
from radio.phy.lte.channels.indications import Indication, SlssDetected, Synchronised
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.transmissions import SlssTx
from radio.phy.lte.pools.mode2 import SidelinkPools

SyncTold = SyncEvent | Synchronised


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRole:
    """A UE that starts as reference, in coverage or not, or that follows the first source it hears."""

    role: Literal["reference", "follow"]
    n_sl_id: int
    in_coverage: bool = False


class SyncRadio(Protocol):
    """The part of the radio that synchronisation uses: the access of a UE, or a PHY alone."""

    @property
    def subframe(self) -> int | None:
        """The next subframe to be received; None while there is no timing."""

    def become_sync_ref(self, n_sl_id: int, first_sample: int | None = None) -> None:
        """Become the reference: on the present timing, or on own timing from `first_sample` on."""

    def follow(self, source: SlssDetected) -> Synchronised:
        """Follow a detected source as reference from now on."""

    def scan(self, n_subframes: int) -> None:
        """Search the next subframes for sources, in parallel with all other work."""


class SyncDriver:
    """Carries out the orders of the role on the radio."""

    def __init__(self, radio: SyncRadio, pools: SidelinkPools, role: FixedRole | SyncEntity) -> None:
        """With a `SyncEntity` the radio must report every source (`judged_above`) and follow none by itself."""
        self._radio = radio
        self._pools = pools
        self._role = role
        self._fixed_reference = role if isinstance(role, FixedRole) and role.role == "reference" else None

    def power_on(self) -> Iterator[SyncTold]:
        """Start: a fixed reference has its timing from the first sample on."""
        if self._fixed_reference is not None:
            self._radio.become_sync_ref(self._fixed_reference.n_sl_id, 0)
            yield BecameSyncRef(n_sl_id=self._fixed_reference.n_sl_id)

    def receive(self, indication: Indication, now: Instant) -> None:
        """Pass on an indication of the PHY."""
        if isinstance(self._role, SyncEntity):
            self._role.receive(indication, now)

    def step(self, now: Instant, next_sample: int) -> Iterator[SyncTold]:
        """Do all work that is due; a reference without timing starts its own at `next_sample`."""
        entity = self._role
        if not isinstance(entity, SyncEntity):
            return
        entity.handle_timer(now)
        for action in entity.pdus_to_send(now):
            yield from self._do(action, next_sample)
        while (event := entity.next_event()) is not None:
            yield event

    def transmission(self, subframe: int) -> SlssTx | None:
        """The SLSS and PSBCH due in a subframe."""
        if isinstance(self._role, SyncEntity):
            return self._role.transmission(subframe)
        fixed, sync = self._fixed_reference, self._pools.sync
        if fixed is None or subframe % sync.period != sync.offset_indicators[0]:
            return None
        like = MibSl(bandwidth_prb=self._pools.n_prb, dfn=0, subframe=0, in_coverage=fixed.in_coverage)
        return slss_tx(fixed.n_sl_id, subframe, like)

    def _do(self, action: SyncAction, next_sample: int) -> Iterator[SyncTold]:
        match action:
            case Follow(source=source):
                yield self._radio.follow(source)
            case BecomeReference(n_sl_id=n_sl_id):
                self._radio.become_sync_ref(n_sl_id, next_sample if self._radio.subframe is None else None)
                yield BecameSyncRef(n_sl_id=n_sl_id)
            case Scan(n_subframes=n_subframes):
                self._radio.scan(n_subframes)
            case _ as never:
                assert_never(never)
