"""Joins a UE's PHY with its synchronisation role: a fixed reference, a follower, or the whole procedure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from prose_link.instant import Instant
from prose_link.sync.broadcast import slss_tx
from prose_link.sync.entity import SyncEntity
from prose_link.sync.events import BecomeReference, Follow, Scan, SyncAction, SyncEvent
from prose_link.ue.events import BecameSyncRef
from radio.phy.lte.channels.indications import Indication, Synchronised
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.transmissions import SlssTx
from radio.phy.lte.pools.mode2 import SidelinkPools
from radio.phy.lte.ue_phy import UePhy

SyncTold = SyncEvent | BecameSyncRef | Synchronised


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRole:
    """A UE that starts as reference, in coverage or not, or that follows whom it hears first."""

    role: Literal["reference", "follow"]
    n_sl_id: int
    in_coverage: bool = False


class SyncDriver:
    """Carries out on the PHY what the role asks for."""

    def __init__(self, phy: UePhy, pools: SidelinkPools, role: FixedRole | SyncEntity) -> None:
        """With a `SyncEntity` the PHY must have been made with `judged_above`."""
        self._phy = phy
        self._pools = pools
        self._role = role
        self._fixed_reference = role if isinstance(role, FixedRole) and role.role == "reference" else None

    @property
    def survives_loss(self) -> bool:
        """Whether the UE goes on by itself when its reference falls silent."""
        return isinstance(self._role, SyncEntity)

    def power_on(self) -> Iterator[SyncTold]:
        """Start: a fixed reference has its timing from the first sample on."""
        if self._fixed_reference is not None:
            self._phy.become_sync_ref(self._fixed_reference.n_sl_id, 0)
            yield BecameSyncRef(n_sl_id=self._fixed_reference.n_sl_id)

    def receive(self, indication: Indication, now: Instant) -> None:
        """Take what the PHY heard."""
        if isinstance(self._role, SyncEntity):
            self._role.receive(indication, now)

    def step(self, now: Instant, next_sample: int) -> Iterator[SyncTold]:
        """Do what is due; a reference without timing starts its own at `next_sample`."""
        entity = self._role
        if not isinstance(entity, SyncEntity):
            return
        entity.handle_timer(now)
        while (action := entity.next_action()) is not None:
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
                yield self._phy.follow(source)
            case BecomeReference(n_sl_id=n_sl_id):
                self._phy.become_sync_ref(n_sl_id, next_sample if self._phy.subframe is None else None)
                yield BecameSyncRef(n_sl_id=n_sl_id)
            case Scan(n_subframes=n_subframes):
                self._phy.scan(n_subframes)
