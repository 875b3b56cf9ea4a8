"""LTE sidelink behind the access port: PHY, scheduler of mode 2, MAC and RLC, SLSS and PSDCH slots of one UE.

Up: samples -> `UePhy` -> SCIs to the scheduler, transport blocks to MAC and RLC, the rest to the owner.
Down: PDCP PDUs -> MAC's queues -> grants -> transmissions -> `UePhy` -> bursts.

In each subframe a UE sends one kind of signal: synchronisation has precedence over discovery, discovery over data. A
transmission that gives way is not repeated later: HARQ and the retransmissions of higher layers cover the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import assert_never

import numpy as np

from radio.access.phy_port import PhyMaker, SidelinkPhy
from radio.access.protocol import (
    AccessIndication,
    AnnouncementReceived,
    BlockReceived,
    BroadcastSource,
    PdusReceived,
)
from radio.access.psdch_slots import PsdchSlots
from radio.arrays import Iq
from radio.l2.blocks import AddressPair, ReceivedBlock
from radio.l2.config import L2Config
from radio.l2.indications import BlockAddressed, Dropped, Observer, PduReceived, PduSeen
from radio.l2.logical_channels import group_destination_id
from radio.l2.lte_mode2.config import Mode2Config
from radio.l2.lte_mode2.grant import least_sn_cycle_subframes
from radio.l2.lte_mode2.scheduler import Mode2Scheduler
from radio.l2.pdcp_entity import PdcpPdu
from radio.l2.stack import L2Stack
from radio.phy.lte.channels.indications import (
    DiscoveryReceived,
    MibReceived,
    SciReceived,
    SlssDetected,
    Synchronised,
    SyncLost,
    TransportBlockReceived,
)
from radio.phy.lte.channels.mib import MibSl
from radio.phy.lte.channels.transmissions import Transmission
from radio.phy.lte.grid.numerology import Carrier
from radio.phy.lte.pools.mode2 import SidelinkPools
from radio.phy.lte.ue_phy import UePhy


@dataclass(frozen=True, slots=True, kw_only=True)
class LteSettings:
    """The settings of one UE's LTE sidelink.

    `listen_l2_ids` are the layer-2 ids, its own and its groups', whose PSSCH it receives. With `judged_above` every
    synchronisation source is reported and none is followed before `follow` is called. Bursts are made
    `tx_lead_subframes` before they go on the air.
    """

    own_l2_id: int
    listen_l2_ids: tuple[int, ...]
    tx_lead_subframes: int
    judged_above: bool = False
    layer_2: L2Config = field(default_factory=L2Config)
    mode_2: Mode2Config = field(default_factory=Mode2Config)


class LteSidelink:
    """One UE's `SidelinkAccess` by LTE, transmission mode 2.

    Args:
        pools: the preconfigured resource pools; data goes out in the first communication pool.
        settings: how the UE uses them.
        rng: the only source of chance in resource selection.
        group_sender: returns the layer-2 id from which this UE sends to its groups; None if it has no group keys.
        observer: called with every PDU that crosses a layer.
        on_symbols: gets the equalised symbols of every PSSCH transmission.
        phy_of: makes the PHY, where it is not `UePhy`.

    Raises UePhyError for pools that do not fit each other, AddressError for an unusable layer-2 id.
    """

    def __init__(
        self,
        pools: SidelinkPools,
        settings: LteSettings,
        rng: np.random.Generator,
        *,
        group_sender: Callable[[], int | None] = lambda: None,
        observer: Observer | None = None,
        on_symbols: Callable[[Iq], None] | None = None,
        phy_of: PhyMaker | None = None,
    ) -> None:
        self._pool = pools.comm[0]
        listen_ids = frozenset(group_destination_id(l2_id) for l2_id in settings.listen_l2_ids)
        self._phy: SidelinkPhy = (
            phy_of(pools, listen_ids)
            if phy_of is not None
            else UePhy(
                Carrier(pools.n_prb, self._pool.cp),
                pools,
                listen_ids=listen_ids,
                judged_above=settings.judged_above,
                on_symbols=on_symbols,
            )
        )
        self._observer = observer
        self._layer_2 = L2Stack(
            settings.own_l2_id,
            replace(settings.layer_2, sn_cycle_subframes=least_sn_cycle_subframes(self._pool)),
            group_sender=group_sender,
            observer=self._show_layer_2,
        )
        self._scheduler = Mode2Scheduler(settings.own_l2_id, self._pool, self._layer_2, rng, settings.mode_2)
        self._psdch = PsdchSlots(pools.disc[0]) if pools.disc else None
        self._judged_above = settings.judged_above
        self._tx_lead_subframes = settings.tx_lead_subframes
        self._next_tx_subframe: int | None = None

    @property
    def sample_rate_hz(self) -> int:
        """The rate of the samples it takes and gives."""
        return self._phy.carrier.sample_rate_hz

    @property
    def n_prb(self) -> int:
        """The width of its channel in physical resource blocks."""
        return self._phy.carrier.n_prb

    @property
    def subframe(self) -> int | None:
        """The next subframe to be received; None while there is no timing."""
        return self._phy.subframe

    # Layer 2.

    def check_room(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Raise QueueFull if there is no room for a PDU."""
        self._layer_2.check_room(pair, lcid, octets)

    def offer(self, pdu: PdcpPdu) -> None:
        """Queue a PDCP PDU. Raises QueueFull."""
        self._layer_2.send(pdu)

    def queued_octets(self, dst_l2: int, lcid: int | None = None) -> int:
        """Octets that wait for a destination, on one logical channel or on all of them."""
        return self._layer_2.queued_octets(dst_l2, lcid)

    def block_octets(self, dst_l2: int) -> int:
        """Octets of the transport blocks that a destination is sent just now; 0 where it is sent none."""
        return self._scheduler.block_octets(dst_l2)

    def note_backlog(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Octets wait above for the room that the next blocks make."""
        self._layer_2.note_backlog(pair, lcid, octets)

    def join_group(self, group_l2: int) -> None:
        """Receive PDUs to a group from now on. Raises AddressError."""
        self._layer_2.join_group(group_l2)

    def forget_groups_from(self, src_l2: int) -> None:
        """Drop all PDUs that wait to be sent to groups from a layer-2 id that is given up."""
        self._layer_2.forget_groups_from(src_l2)

    # Synchronisation.

    def become_sync_ref(self, n_sl_id: int, first_sample: int | None = None) -> None:
        """Become a synchronisation reference: on the present timing, or on own timing from `first_sample` on."""
        self._phy.become_sync_ref(n_sl_id, first_sample)

    def follow(self, source: SlssDetected) -> Synchronised:
        """Follow a detected source as reference from now on; grants begin anew with the next SC period."""
        self._next_tx_subframe = None
        return self._phy.follow(source)

    def scan(self, n_subframes: int) -> None:
        """Search the next subframes for synchronisation sources, in parallel with all other work."""
        self._phy.scan(n_subframes)

    # Up.

    def receive(self, iq: Iq, first_sample: int) -> Iterator[AccessIndication]:
        """Process samples, complex64 (n,) of any n. The caller must iterate over all indications."""
        for indication in self._phy.receive(iq, first_sample):
            match indication:
                case Synchronised() | SlssDetected():
                    yield indication
                case SyncLost():
                    if not self._judged_above:
                        self._next_tx_subframe = None
                    yield indication
                case MibReceived(mib=mib, subframe=subframe):
                    self._show_mib("rx", mib, subframe)
                    yield indication
                case SciReceived(sci=sci, subframe=subframe, prb=prb):
                    self._scheduler.note_sci(subframe, prb, sci)
                case TransportBlockReceived():
                    yield _as_measured(indication)
                    if indication.crc_ok:
                        yield PdusReceived(items=tuple(self._take_block(indication)))
                case DiscoveryReceived(message=message, subframes=subframes, prb=prb, snr_db=snr_db):
                    self._scheduler.note_anyone(snr_db)
                    if self._psdch is not None:
                        self._psdch.note_heard(subframes, prb)
                    self._show("discovery", "rx", message, subframes[-1])
                    yield AnnouncementReceived(message=message)
                case _ as never:
                    assert_never(never)
        waited = self._layer_2.advance(self._phy.subframe) if self._phy.subframe is not None else []
        if items := tuple(item for item in waited if not isinstance(item, BlockAddressed)):
            yield PdusReceived(items=items)

    def _take_block(self, block: TransportBlockReceived) -> Iterator[PduReceived | Dropped]:
        received = ReceivedBlock(
            octets=block.transport_block, destination_octet=block.n_id_sa, subframe=block.subframes[-1]
        )
        for indication in self._layer_2.receive(received):
            if isinstance(indication, BlockAddressed):
                self._scheduler.note_quality(indication.src_l2, block.snr_db)
            else:
                yield indication

    # Down.

    def bursts(self, source: BroadcastSource) -> list[tuple[Iq, int]]:
        """Bursts of the subframes that have come within the transmitter's lead, each with its first sample."""
        if self._phy.subframe is None:
            return []
        horizon = self._phy.subframe + self._tx_lead_subframes
        if self._next_tx_subframe is None:
            self._next_tx_subframe = self._pool.period_start(self._pool.period_of(horizon) + 1)
        bursts = []
        while self._next_tx_subframe < horizon:
            transmissions = self._transmissions(self._next_tx_subframe, source)
            if transmissions:
                bursts.append(self._phy.transmit(self._next_tx_subframe, transmissions))
            self._next_tx_subframe += 1
        return bursts

    def _transmissions(self, subframe: int, source: BroadcastSource) -> list[Transmission]:
        period = self._pool.period_of(subframe)
        if subframe == self._pool.period_start(period):
            self._scheduler.start_period(period)
        announcement = None if self._psdch is None else self._psdch.transmission(subframe, source)
        if announcement is not None and announcement.rv == 0:
            self._show("discovery", "tx", announcement.message, subframe)
        slss = source.sync_signal(subframe)
        if slss is not None:
            self._show_mib("tx", slss.mib, subframe)
            return [slss]
        if announcement is not None:
            return [announcement]
        return list(self._scheduler.transmissions(subframe))

    # Telling.

    def _show_mib(self, direction: str, mib: MibSl, subframe: int) -> None:
        self._show("mib_sl", direction, np.packbits(mib.to_bits()).tobytes(), subframe)

    def _show(self, layer: str, direction: str, data: bytes, subframe: int) -> None:
        if self._observer is not None:
            self._observer(
                PduSeen(layer=layer, direction=direction, src_l2=0, dst_l2=0, lcid=0, data=data, subframe=subframe)
            )

    def _show_layer_2(self, pdu: PduSeen) -> None:
        if self._observer is not None:
            self._observer(replace(pdu, subframe=self._phy.subframe or 0))


def _as_measured(block: TransportBlockReceived) -> BlockReceived:
    return BlockReceived(
        subframes=block.subframes,
        mcs=block.mcs,
        n_prb=len(block.prbs),
        n_transmissions=block.n_transmissions,
        crc_ok=block.crc_ok,
        crc_ok_at=block.crc_ok_at,
        snr_db=block.snr_db,
        evm_db=block.evm_db,
    )
