"""The radio bearers of one UE: PDCP seals SDUs for a carrier, and opens PDUs that come by a carrier.

Seal and open stand above the carriers, so a link may be borne by any of them, and protection is the same on each.

Down (`_send`), the order matters:

1. The carrier is asked whether it has room for the SDU with the most that PDCP adds. A number that is spent on a PDU
   which then can't leave would be lost.
2. PDCP takes the next number and seals.
3. The carrier sends.

User data is handed down late. On direct radio it waits above until less than a transport block waits below: a packet
that is sealed can neither be overtaken by a more urgent one nor dropped. So that grants are made for what waits above,
layer 2 is told how much it is (`note_backlog`).

Up (`_open`), a carrier returns what has come, each PDU with the way by which it came, and two checks come before PDCP:

* A carrier other than direct radio brings only PDUs to this UE itself; groups use the sidelink alone.
* A protected PDU of a link must come by the carrier that bears the link of its context. This is checked before the PDU
  is opened, because opening moves the replay window: otherwise a copy, sent by another carrier, would shut out the one
  that is still under way. A PDU that can't be decoded is left to PDCP, which says why.

An SDU without room, way or key causes an event, never an exception: the rest of the UE goes on. The tap knows the
carrier of each PDU, so that captures can say it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prose_link.carriers.direct import Direct
from prose_link.carriers.protocol import Carried, Carrier
from prose_link.pc5s.wire.party import DIRECT, UNKNOWN_L2, CarrierError, Party, Via
from prose_link.pc5s.wire.pdus import LCID_PROTECTED, LCID_UNPROTECTED, OutgoingPdu
from prose_link.ue.events import L2Dropped
from prose_link.ue.link_protector import LinkProtector
from prose_link.ue.pdu_tap import PduTap
from radio.access.protocol import SidelinkAccess
from radio.l2.blocks import AddressPair
from radio.l2.indications import Dropped, DropReason, PduReceived, SduReceived
from radio.l2.logical_channels import FIRST_USER_LCID, AddressError
from radio.l2.pdcp import MAX_OVERHEAD_OCTETS, PdcpPduError, PdcpSdu, ProtectionError, SduType, decode_one_to_one
from radio.l2.pdcp_entity import PdcpEntity

GROUP_LCID = FIRST_USER_LCID
"""Logical channel of user data to a group."""
MAX_QUEUED_USER_OCTETS = 16 * 1024
"""User data handed down ahead of a carrier beside direct radio, so that queues stay short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The contents of a PDU, or the reason why it was dropped, and the way by which it came."""

    sdu: SduReceived | Dropped
    via: Via
    named_sender: str = ""
    """Whom the carrier names as its sender."""


class Bearers:
    """PDCP above the carriers. A PDU without room, way or key causes an event, never an exception.

    Args:
        own_l2_id: this UE's layer-2 id.
        access: the radio, for groups: they use the sidelink only.
        direct: the carrier over `access`.
        others: the other carriers.
        pdcp: seals and opens.
        protector: the keys that `pdcp` uses for links.
        tap: called with IP packets and signalling on their way down.
        may_bring: (carrier, peer layer-2 id, KD-sess ID) -> whether PDUs under this context may come by the carrier.
        emit: called with events.
    """

    def __init__(
        self,
        own_l2_id: int,
        access: SidelinkAccess,
        direct: Direct,
        others: Iterable[Carrier],
        pdcp: PdcpEntity,
        protector: LinkProtector,
        tap: PduTap,
        may_bring: Callable[[str, int, int], bool],
        emit: Callable[[L2Dropped], None],
    ) -> None:
        self._own_l2_id = own_l2_id
        self._access = access
        self._direct = direct
        self._carriers: dict[str, Carrier] = {one.name: one for one in (direct, *others)}
        self._pdcp = pdcp
        self._protector = protector
        self._tap = tap
        self._may_bring = may_bring
        self._emit = emit

    def reach(self, carrier: str, identity: str, l2_id: int | None) -> Party | None:
        """The peer at its address on a carrier; None while the carrier doesn't know it."""
        return self._carriers[carrier].reaches(identity, l2_id)

    def has_room_for_packets(self, to: Party, lcid: int) -> bool:
        """Whether so little of a logical channel waits below that more user data may be handed down.

        On direct radio that is less than the next transport block takes: what waits there is sealed, and can neither be
        put into another order nor dropped any more.
        """
        if to.via.is_direct and to.l2_id:
            queued = self._access.queued_octets(to.l2_id, lcid)
            return queued < max(1, self._access.block_octets(to.l2_id))
        return self._carriers[to.via.carrier].queued_octets(to.via) < MAX_QUEUED_USER_OCTETS

    def note_backlog(self, to: Party, lcid: int, octets: int) -> None:
        """Octets of user data wait above for room below."""
        if to.via.is_direct and to.l2_id:
            self._access.note_backlog(AddressPair(self._own_l2_id, to.l2_id), lcid, octets)

    def send_signalling(self, pdu: OutgoingPdu) -> None:
        """Send a PC5-S message."""
        self._tap.carrier = pdu.to.via.carrier
        self._tap.signalling("tx", pdu.data, self._own_l2_id, pdu.dst_l2, pdu.lcid)
        sdu = PdcpSdu(
            dst_l2=pdu.dst_l2,
            lcid=pdu.lcid,
            sdu_type=SduType.PC5_SIGNALLING,
            data=pdu.data,
            kd_sess_id=pdu.kd_sess_id,
        )
        self._send(sdu, pdu.to.via)

    def send_report(self, octets: bytes, to: Party, kd_sess_id: int) -> None:
        """Tell a peer how its signals arrive, in the words of the access (PROFILE 9, H1)."""
        sdu = PdcpSdu(
            dst_l2=to.l2_id or UNKNOWN_L2,
            lcid=LCID_PROTECTED,
            sdu_type=SduType.HEARING_REPORT,
            data=octets,
            kd_sess_id=kd_sess_id,
        )
        self._send(sdu, to.via)

    def send_packet(self, packet: bytes, to: Party, kd_sess_id: int, lcid: int) -> None:
        """Send an IP packet over a link, on a logical channel for user data."""
        self._send_packet(packet, AddressPair(self._own_l2_id, to.l2_id or UNKNOWN_L2), lcid, kd_sess_id, to.via)

    def send_group_packet(self, packet: bytes, sender_l2: int, group_l2: int) -> None:
        """Send an IP packet to a group, from the layer-2 id to which its key is bound."""
        via = Via(traits=self._direct.traits, address=group_l2)
        self._send_packet(packet, AddressPair(sender_l2, group_l2), GROUP_LCID, 0, via)

    def open_heard(self, items: Iterable[PduReceived | Dropped]) -> list[Opened]:
        """Open the PDUs of one transport block, except those that a carrier on top of direct radio takes."""
        opened: list[Opened] = []
        for item in items:
            if isinstance(item, Dropped):
                opened.append(Opened(sdu=item, via=Via(traits=self._direct.traits, address=item.src_l2)))
            else:
                self._direct.heard(item)
                opened += self._receive(self._direct)
        return opened

    def open_others(self) -> Iterator[Opened]:
        """Open the PDUs that the other carriers have brought since the last call."""
        for carrier in self._carriers.values():
            if carrier is not self._direct:
                yield from self._receive(carrier)

    def close(self) -> None:
        """Close every carrier."""
        for carrier in self._carriers.values():
            carrier.close()

    def give_up_group_sender(self, l2_id: int) -> bool:
        """Handle a layer-2 id that another UE uses.

        Returns True if this UE sent to its groups from it; it then uses another one, and drops all PDUs that waited to
        be sent to groups from the old id.
        """
        if not self._pdcp.give_up_sender(l2_id):
            return False
        self._access.forget_groups_from(l2_id)
        return True

    def _receive(self, carrier: Carrier) -> Iterator[Opened]:
        for carried in carrier.receive():
            self._tap.carrier = carrier.name
            yield Opened(sdu=self._open(carried), via=carried.via, named_sender=carried.named_sender)
        self._tap.carrier = DIRECT

    def _open(self, carried: Carried) -> SduReceived | Dropped:
        fault = self._fault(carried)
        if fault is not None:
            return fault
        self._protector.arriving = carried.via
        return self._pdcp.receive(carried.pdu)

    def _fault(self, carried: Carried) -> Dropped | None:
        """The reason why a PDU can't be opened at all."""
        pdu, via = carried.pdu, carried.via
        if not via.is_direct and (pdu.to_group or pdu.dst_l2 not in (self._own_l2_id, UNKNOWN_L2)):
            return _dropped(pdu, DropReason.NOT_ADDRESSED, f"{pdu.dst_l2:06x} by carrier {via.carrier}")
        if pdu.lcid == LCID_UNPROTECTED or pdu.to_group:
            return None
        try:
            kd_sess_id = decode_one_to_one(pdu.data).kd_sess_id
        except PdcpPduError:
            return None
        if via.traits.bears_links and self._may_bring(via.carrier, pdu.src_l2, kd_sess_id):
            return None
        detail = f"context {kd_sess_id:04x} with {pdu.src_l2:06x} is not borne by carrier {via.carrier}"
        return _dropped(pdu, DropReason.NOT_VERIFIED, detail)

    def _send_packet(self, packet: bytes, pair: AddressPair, lcid: int, kd_sess_id: int, via: Via) -> None:
        self._tap.carrier = via.carrier
        self._tap.see("ip", "tx", packet, *pair, lcid)
        sdu = PdcpSdu(dst_l2=pair.dst_l2, lcid=lcid, sdu_type=SduType.IP, data=packet, kd_sess_id=kd_sess_id)
        self._send(sdu, via)

    def _send(self, sdu: PdcpSdu, via: Via) -> None:
        carrier = self._carriers[via.carrier]
        try:
            octets = len(sdu.data) + MAX_OVERHEAD_OCTETS
            carrier.check_room(via, self._pdcp.addresses_of(sdu), sdu.lcid, octets)
            carrier.send(self._pdcp.send(sdu), via)
        except (CarrierError, ProtectionError, AddressError) as error:
            self._emit(L2Dropped(layer="l2", why=str(error)))
        finally:
            self._tap.carrier = DIRECT


def _dropped(pdu: PduReceived, reason: DropReason, detail: str) -> Dropped:
    return Dropped(reason=reason, detail=detail, src_l2=pdu.src_l2, dst_l2=pdu.dst_l2, lcid=pdu.lcid)
