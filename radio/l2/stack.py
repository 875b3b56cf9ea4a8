"""MAC and RLC UM of one UE: PDCP PDUs in, transport blocks of n octets out; blocks in, PDCP PDUs out.

Down: `send` -> queues; a scheduler asks for `next_demand`, then `build_block` -> RLC -> MAC.
Up: `receive` -> MAC -> RLC.

The stack is the `BlockSource` of a scheduler. It knows no pool, no modulation and no clock but the subframe number that
t-Reordering counts in. PDCP stands above it (`radio.l2.pdcp_entity`), so that protected PDUs may use other carriers
than the radio too.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

from radio.l2.blocks import AddressPair, Demand, ReceivedBlock
from radio.l2.config import L2Config
from radio.l2.indications import BlockAddressed, Dropped, DropReason, MacIndication, Observer, PduReceived, PduSeen
from radio.l2.logical_channels import SDU_LCIDS, SIGNALLING_LCIDS, check_l2_id
from radio.l2.mac import MacTransmitter
from radio.l2.mac_pdu import MacPdu, MacPduError, MacSdu, MacVersion, decode_mac_pdu, encode_mac_pdu
from radio.l2.pdcp_entity import PdcpPdu
from radio.l2.rlc_um_pdu import RlcPduError
from radio.l2.rx_channels import RxChannel, RxChannels

SENT_KEPT: Final = 4096
"""Blocks to groups that are known when they come back, which costs no layer-2 id (PROFILE 11, G8; the number is P)."""


@dataclass(slots=True, kw_only=True)
class L2Statistics:
    """Counts since the start; `rlc_lost` are PDCP PDUs that a gap cut."""

    pdus_sent: int = 0
    pdus_received: int = 0
    blocks_sent: int = 0
    block_octets_sent: int = 0
    blocks_received: int = 0
    rlc_lost: int = 0
    dropped: Counter[DropReason] = field(default_factory=Counter)


class L2Stack:
    """MAC and RLC UM of one UE.

    Args:
        own_l2_id: this UE's 24-bit layer-2 id.
        config: settings.
        group_sender: tells the layer-2 id that this UE sends to its groups from, None where it has no group keys; it
            is asked for every block received.
        observer: is shown every PDU that crosses a layer.

    Raises AddressError for an unusable id.
    """

    def __init__(
        self,
        own_l2_id: int,
        config: L2Config | None = None,
        *,
        group_sender: Callable[[], int | None] = lambda: None,
        observer: Observer | None = None,
    ) -> None:
        check_l2_id(own_l2_id)
        config = config or L2Config()
        self.own_l2_id = own_l2_id
        self._observer = observer
        self._group_sender = group_sender
        self._mac = MacTransmitter(config)
        self._rx_channels = RxChannels(config)
        self._groups: set[int] = set()
        self._sent_to_groups: OrderedDict[bytes, None] = OrderedDict()
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

    def forget_groups_from(self, src_l2: int) -> None:
        """Throw away what waits to be sent to groups from a layer-2 id: it may go out under no key of another one."""
        self._mac.forget_groups_from(src_l2)

    def queued_octets(self, dst_l2: int, lcid: int | None = None) -> int:
        """Octets that wait for a destination, on one logical channel or on all of them."""
        return self._mac.queued_octets(dst_l2, lcid)

    def note_backlog(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Octets wait above layer 2 for the room that the next blocks make; grants are made for them too."""
        self._mac.note_backlog(pair, lcid, octets)

    def check_room(self, pair: AddressPair, lcid: int, octets: int) -> None:
        """Raises QueueFull where a PDCP PDU of `octets` finds no room: to be asked before a number is spent on it."""
        self._mac.check_room(pair, lcid, octets)

    def send(self, pdu: PdcpPdu) -> None:
        """Queue a PDCP PDU. Raises QueueFull."""
        pair = AddressPair(pdu.src_l2, pdu.dst_l2)
        self._mac.check_room(pair, pdu.lcid, len(pdu.data))
        self._mac.enqueue(pair, pdu.lcid, pdu.data, to_group=pdu.to_group)
        self._statistics.pdus_sent += 1

    def next_demand(self) -> Demand | None:
        """The pair to serve now: the most urgent one, now and then a less urgent one; equals in turn."""
        pair = self._mac.pick_destination()
        if pair is None:
            return None
        return Demand(
            pair=pair,
            octets=self._mac.needed_octets(pair),
            signalling_octets=self._mac.needed_octets(pair, SIGNALLING_LCIDS),
            to_group=pair.dst_l2 in self._groups,
        )

    def build_block(self, pair: AddressPair, n_octets: int, subframe: int) -> bytes | None:
        """The next transport block of `n_octets` for a pair, None where nothing waits for it any more."""
        pdu = self._mac.build_pdu(pair, n_octets, subframe)
        if pdu is None:
            return None
        block = encode_mac_pdu(pdu, n_octets)
        for sdu in pdu.sdus:
            self._show("rlc", "tx", *pair, sdu.lcid, sdu.data)
        self._show("mac", "tx", *pair, 0, block)
        if pair.dst_l2 in self._groups:
            self._sent_to_groups[_digest(pair.dst_l2, block)] = None
            if len(self._sent_to_groups) > SENT_KEPT:
                self._sent_to_groups.popitem(last=False)
        self._statistics.blocks_sent += 1
        self._statistics.block_octets_sent += n_octets
        return block

    def receive(self, block: ReceivedBlock) -> list[MacIndication]:
        """PDCP PDUs that a block completes, and what was dropped on the way; never raises on its contents."""
        try:
            pdu = decode_mac_pdu(block.octets)
        except MacPduError as error:
            return self._counted([Dropped(reason=DropReason.MALFORMED_MAC, detail=str(error))])
        return self._counted(self._receive_mac_pdu(pdu, block))

    def advance(self, subframe: int) -> list[MacIndication]:
        """PDCP PDUs that t-Reordering lets go up by `subframe`, none with UM_Window_Size 0; old parts are let go."""
        return self._counted([self._received(*item) for item in self._rx_channels.advance(subframe)])

    def _receive_mac_pdu(self, pdu: MacPdu, block: ReceivedBlock) -> list[MacIndication]:
        dst_l2 = pdu.dst << 8 | block.destination_octet
        obstacle = self._obstacle(pdu, dst_l2, block.octets)
        if obstacle is not None:
            reason, detail = obstacle
            return [Dropped(reason=reason, detail=detail, src_l2=pdu.src, dst_l2=dst_l2)]
        self._statistics.blocks_received += 1
        self._show("mac", "rx", pdu.src, dst_l2, 0, block.octets)
        indications: list[MacIndication] = [BlockAddressed(src_l2=pdu.src)]
        for sdu in pdu.sdus:
            indications += self._receive_rlc(RxChannel(pdu.src, dst_l2, sdu.lcid), sdu, block.subframe)
        return indications

    def _obstacle(self, pdu: MacPdu, dst_l2: int, octets: bytes) -> tuple[DropReason, str] | None:
        """The reason to drop a MAC PDU; None if there is none."""
        if _digest(dst_l2, octets) in self._sent_to_groups:
            return DropReason.OWN_REPEATED, f"a block of this UE's own to {dst_l2:06x} came back"
        if pdu.src == self._group_sender():
            return DropReason.SENDER_TAKEN, f"another UE uses {pdu.src:06x}, from which this one sent to groups"
        mine = {MacVersion.UNICAST: {self.own_l2_id}, MacVersion.GROUP: self._groups}.get(pdu.version, set())
        if dst_l2 not in mine:
            return DropReason.NOT_ADDRESSED, f"a PDU with V = {pdu.version} for {dst_l2:06x}"
        if pdu.src == self.own_l2_id and pdu.version is MacVersion.UNICAST:
            return DropReason.OWN_L2_ID, f"another UE uses {pdu.src:06x}"
        return None

    def _receive_rlc(self, channel: RxChannel, sdu: MacSdu, subframe: int) -> list[MacIndication]:
        if sdu.lcid not in SDU_LCIDS:
            return [self._dropped(DropReason.RESERVED_LCID, f"LCID {sdu.lcid} is reserved", channel)]
        self._show("rlc", "rx", *channel, sdu.data)
        try:
            pdcp_pdus = self._rx_channels.receive(channel, sdu.data, subframe)
        except RlcPduError as error:
            return [self._dropped(DropReason.MALFORMED_RLC, str(error), channel)]
        return [self._received(channel, octets) for octets in pdcp_pdus]

    def _received(self, channel: RxChannel, octets: bytes) -> PduReceived:
        return PduReceived(data=octets, to_group=channel.dst_l2 in self._groups, **channel._asdict())

    @staticmethod
    def _dropped(reason: DropReason, detail: str, channel: RxChannel) -> Dropped:
        return Dropped(reason=reason, detail=detail, **channel._asdict())

    def _counted(self, indications: list[MacIndication]) -> list[MacIndication]:
        for indication in indications:
            match indication:
                case Dropped(reason=reason):
                    self._statistics.dropped[reason] += 1
                case PduReceived():
                    self._statistics.pdus_received += 1
                case BlockAddressed():
                    pass
                case _ as never:
                    assert_never(never)
        return indications

    def _show(self, layer: str, direction: str, src_l2: int, dst_l2: int, lcid: int, data: bytes) -> None:
        if self._observer is not None:
            self._observer(
                PduSeen(layer=layer, direction=direction, src_l2=src_l2, dst_l2=dst_l2, lcid=lcid, data=data)
            )


def _digest(dst_l2: int, block: bytes) -> bytes:
    """The value by which a block to a group is recognised."""
    return hashlib.sha256(dst_l2.to_bytes(4) + block).digest()[:8]
