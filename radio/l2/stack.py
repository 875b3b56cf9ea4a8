"""Layer 2 of one UE: SDUs in, transmissions out; transport blocks in, SDUs out. Driven by the subframe number only.

Down: `send` -> PDCP -> queues; `start_period` -> grant; `transmissions` -> RLC -> MAC.
Up: `receive` -> MAC -> RLC -> PDCP.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from radio.errors import RadioError
from radio.l2.config import L2Config
from radio.l2.indications import Dropped, DropReason, L2Indication, Observer, PduSeen, SduReceived
from radio.l2.logical_channels import (
    LCID_PC5_S_UNPROTECTED,
    LCIDS_BY_PRIORITY,
    AddressError,
    check_l2_id,
    check_lcid,
)
from radio.l2.lte_mode2.grant import ActiveGrant, SlGrant
from radio.l2.lte_mode2.link_quality import LinkQuality
from radio.l2.lte_mode2.neighbours import HeardGrant, Neighbours
from radio.l2.lte_mode2.pscch_plan import pscch_plan
from radio.l2.lte_mode2.selection import GrantSelector
from radio.l2.mac import AddressPair, MacTransmitter, QueueFull
from radio.l2.mac_pdu import MacPdu, MacPduError, MacSdu, MacVersion, decode_mac_pdu, encode_mac_pdu
from radio.l2.pdcp import MAX_OVERHEAD_OCTETS, GroupProtector, PdcpSdu, Protector
from radio.l2.pdcp_entity import PdcpEntity
from radio.l2.rlc_um_pdu import RlcPduError
from radio.l2.rx_channels import RxChannel, RxChannels
from radio.phy.lte.channels.indications import TransportBlockReceived
from radio.phy.lte.channels.sci import SciFormat0
from radio.phy.lte.channels.transmissions import PscchTx, PsschTx
from radio.phy.lte.grid.trpt import n_trp, trp_bitmap
from radio.phy.lte.pools.mode2 import CommPool

__all__ = [
    "DropReason",
    "Dropped",
    "L2Config",
    "L2Indication",
    "L2Stack",
    "L2Statistics",
    "PdcpSdu",
    "PduSeen",
    "QueueFull",
    "SduReceived",
    "SlGrant",
]


@dataclass(slots=True, kw_only=True)
class L2Statistics:
    """Counts since the start; `rlc_lost` are SDUs that a gap cut."""

    sdus_sent: int = 0
    sdus_received: int = 0
    grants: int = 0
    tbs_sent: int = 0
    tb_octets_sent: int = 0
    tbs_received: int = 0
    tbs_failed: int = 0
    rlc_lost: int = 0
    dropped: Counter[DropReason] = field(default_factory=Counter)


class L2Stack:
    """MAC, RLC UM and PDCP of one UE in transmission mode 2.

    Args:
        own_l2_id: this UE's 24-bit layer-2 id.
        pool: the pool it transmits in.
        protector: keys and numbers of its links.
        rng: the only source of chance.
        config: settings.
        groups: keys and numbers of its groups, where it has any.
        observer: is shown every PDU that crosses a layer.

    Raises AddressError for an unusable id.
    """

    def __init__(
        self,
        own_l2_id: int,
        pool: CommPool,
        protector: Protector,
        rng: np.random.Generator,
        config: L2Config | None = None,
        *,
        groups: GroupProtector | None = None,
        observer: Observer | None = None,
    ) -> None:
        check_l2_id(own_l2_id)
        config = config or L2Config()
        self.own_l2_id = own_l2_id
        self._pool = pool
        self._observer = observer
        self._group_protector = groups
        self._pdcp = PdcpEntity(protector, groups)
        self._mac = MacTransmitter(config)
        self._rx_channels = RxChannels(config)
        self._neighbours = Neighbours(pscch_plan(pool))
        self._quality = LinkQuality(config)
        self._selector = GrantSelector(own_l2_id, pool, config, self._neighbours, rng)
        self._groups: set[int] = set()
        self._grants: dict[int, ActiveGrant] = {}
        self._statistics = L2Statistics()

    @property
    def statistics(self) -> L2Statistics:
        """Counts since the start."""
        self._statistics.rlc_lost = self._rx_channels.n_lost
        return self._statistics

    def join_group(self, group_l2: int) -> None:
        """Send to and receive from a group (V = 0001). Raises AddressError."""
        check_l2_id(group_l2)
        self._groups.add(group_l2)

    def leave_group(self, group_l2: int) -> None:
        """Have no more to do with a group."""
        self._groups.discard(group_l2)
        self._mac.forget(group_l2)

    def forget(self, peer_l2: int) -> None:
        """Throw away what waits for a peer and what came from it in part."""
        self._mac.forget(peer_l2)
        self._rx_channels.forget(peer_l2)

    def queued_octets(self, dst_l2: int) -> int:
        """Octets that wait for a destination."""
        return self._mac.queued_octets(dst_l2)

    def send(self, sdu: PdcpSdu) -> None:
        """Protect an SDU and queue it.

        Raises QueueFull (no number is spent), ProtectionError, PdcpPduError, AddressError.
        """
        check_l2_id(sdu.dst_l2)
        check_lcid(sdu.lcid)
        if sdu.dst_l2 == self.own_l2_id:
            raise AddressError(f"{sdu.dst_l2:06x} is this UE itself")
        to_group = sdu.dst_l2 in self._groups
        pair = AddressPair(self._source(sdu.lcid, to_group=to_group), sdu.dst_l2)
        self._mac.check_room(pair, sdu.lcid, len(sdu.data) + MAX_OVERHEAD_OCTETS)
        pdu = self._pdcp.send(sdu, to_group=to_group)
        self._mac.enqueue(pair, sdu.lcid, pdu, to_group=to_group)
        self._statistics.sdus_sent += 1
        self._show("pdcp", "tx", pair.src_l2, sdu.dst_l2, sdu.lcid, pdu)

    def start_period(self, period: int) -> SlGrant | None:
        """Choose the grant of an SC period, before its first PSCCH subframe; None where nothing waits."""
        self._grants = {known: grant for known, grant in self._grants.items() if abs(period - known) == 1}
        pair = self._mac.pick_destination()
        if pair is None:
            return None
        needed = self._mac.needed_octets(pair)
        mcs_limit = self._quality.mcs_limit(pair.dst_l2, robust=self._mac.has_signalling(pair))
        grant = self._selector.select(period, pair.dst_l2, needed, mcs_limit, to_group=pair.dst_l2 in self._groups)
        self._grants[period] = ActiveGrant(grant, self._pool, lambda size: self._build_tb(pair, size))
        self._statistics.grants += 1
        return grant

    def transmissions(self, subframe: int) -> list[PscchTx | PsschTx]:
        """What MAC sends in `subframe`; to be asked once for each, in order."""
        active = self._grants.get(self._pool.period_of(subframe))
        return active.transmissions(subframe) if active else []

    def receive(self, block: TransportBlockReceived) -> list[L2Indication]:
        """SDUs that a transport block completes, and what was dropped on the way; never raises on its contents."""
        if not block.crc_ok:
            self._statistics.tbs_failed += 1
            return []
        try:
            pdu = decode_mac_pdu(block.transport_block)
        except MacPduError as error:
            return self._counted([Dropped(reason=DropReason.MALFORMED_MAC, detail=str(error))])
        return self._counted(self._receive_mac_pdu(pdu, block))

    def advance(self, subframe: int) -> list[L2Indication]:
        """SDUs that t-Reordering lets go up by `subframe`; none with UM_Window_Size 0."""
        return self._counted([self._receive_pdcp(*item) for item in self._rx_channels.advance(subframe)])

    def note_sci(self, subframe: int, prb: int, sci: SciFormat0) -> None:
        """Another UE's SCI was heard: its resources are kept clear of, if they make sense in this pool."""
        period = self._pool.period_of(subframe)
        try:
            n_pscch = self._pool.pscch_resource_at(self._pool.pscch_subframes(period).index(subframe), prb)
            trp_bitmap(sci.i_trp, n_trp(self._pool.tdd_config))
            first_prb, n_prb = self._pool.allocation(sci)
        except (RadioError, ValueError):
            return
        seat = pscch_plan(self._pool).seat_of(n_pscch, period)
        if seat is None:
            return
        if sci.hopping:
            first_prb, n_prb = 0, len(self._pool.pssch_prbs)
        grant = HeardGrant(
            seat=seat,
            first_prb=first_prb,
            n_prb=n_prb,
            i_trp=sci.i_trp,
            group_destination_id=sci.group_destination_id,
        )
        self._neighbours.note(grant, period)

    def note_quality(self, peer_l2: int, snr_db: float) -> None:
        """A peer's signal was measured; it bounds the MCS towards that peer."""
        self._quality.note(peer_l2, snr_db)

    def note_taken(self, l2_id: int) -> bool:
        """Somebody else goes by a layer-2 id. True if this UE sent to its groups from it, which it gives up.

        What waited to be sent to groups from the old id is thrown away: it may go out under no key of the new one.
        """
        if self._group_protector is None or not self._group_protector.gives_up(l2_id):
            return False
        self._mac.forget_groups_from(l2_id)
        return True

    def _source(self, lcid: int, *, to_group: bool) -> int:
        """The layer-2 id to send from: links keep theirs, what a group's key ciphers has the one bound to that key."""
        if to_group and self._group_protector is not None and lcid != LCID_PC5_S_UNPROTECTED:
            return self._group_protector.sender_l2
        return self.own_l2_id

    def _build_tb(self, pair: AddressPair, size: int) -> bytes | None:
        pdu = self._mac.build_pdu(pair, size)
        if pdu is None:
            return None
        block = encode_mac_pdu(pdu, size)
        for sdu in pdu.sdus:
            self._show("rlc", "tx", *pair, sdu.lcid, sdu.data)
        self._show("mac", "tx", *pair, 0, block)
        self._statistics.tbs_sent += 1
        self._statistics.tb_octets_sent += size
        return block

    def _receive_mac_pdu(self, pdu: MacPdu, block: TransportBlockReceived) -> list[L2Indication]:
        dst_l2 = pdu.dst << 8 | block.n_id_sa
        refusal = self._refuse(pdu, dst_l2)
        if refusal is not None:
            reason, detail = refusal
            return [Dropped(reason=reason, detail=detail, src_l2=pdu.src, dst_l2=dst_l2)]
        self._statistics.tbs_received += 1
        self._quality.note(pdu.src, block.snr_db)
        self._show("mac", "rx", pdu.src, dst_l2, 0, block.transport_block)
        return [
            indication
            for sdu in pdu.sdus
            for indication in self._receive_rlc(RxChannel(pdu.src, dst_l2, sdu.lcid), sdu, block.subframes[-1])
        ]

    def _refuse(self, pdu: MacPdu, dst_l2: int) -> tuple[DropReason, str] | None:
        if self.note_taken(pdu.src):
            return DropReason.SENDER_TAKEN, f"another UE uses {pdu.src:06x}, from which this one sent to groups"
        mine = {MacVersion.UNICAST: {self.own_l2_id}, MacVersion.GROUP: self._groups}.get(pdu.version, set())
        if dst_l2 not in mine:
            return DropReason.NOT_ADDRESSED, f"a PDU with V = {pdu.version} for {dst_l2:06x}"
        if pdu.src == self.own_l2_id and pdu.version is MacVersion.UNICAST:
            return DropReason.OWN_L2_ID, f"another UE uses {pdu.src:06x}"
        return None

    def _receive_rlc(self, channel: RxChannel, sdu: MacSdu, subframe: int) -> list[L2Indication]:
        if sdu.lcid not in LCIDS_BY_PRIORITY:
            return [self._dropped(DropReason.RESERVED_LCID, f"LCID {sdu.lcid} is reserved", channel)]
        self._show("rlc", "rx", *channel, sdu.data)
        try:
            pdcp_pdus = self._rx_channels.receive(channel, sdu.data, subframe)
        except RlcPduError as error:
            return [self._dropped(DropReason.MALFORMED_RLC, str(error), channel)]
        return [self._receive_pdcp(channel, octets) for octets in pdcp_pdus]

    def _receive_pdcp(self, channel: RxChannel, octets: bytes) -> L2Indication:
        self._show("pdcp", "rx", *channel, octets)
        to_group = channel.dst_l2 in self._groups
        return self._pdcp.receive(
            octets, src_l2=channel.src_l2, dst_l2=channel.dst_l2, lcid=channel.lcid, to_group=to_group
        )

    @staticmethod
    def _dropped(reason: DropReason, detail: str, channel: RxChannel) -> Dropped:
        return Dropped(reason=reason, detail=detail, **channel._asdict())

    def _counted(self, indications: list[L2Indication]) -> list[L2Indication]:
        for indication in indications:
            if isinstance(indication, Dropped):
                self._statistics.dropped[indication.reason] += 1
            else:
                self._statistics.sdus_received += 1
        return indications

    def _show(self, layer: str, direction: str, src_l2: int, dst_l2: int, lcid: int, data: bytes) -> None:
        if self._observer is not None:
            self._observer(
                PduSeen(layer=layer, direction=direction, src_l2=src_l2, dst_l2=dst_l2, lcid=lcid, data=data)
            )
