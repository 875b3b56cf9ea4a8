"""The proxy as a carrier: PC5-S on LCID 28 goes in relay frames by direct radio, to a proxy and on (PROFILE 12).

A UE behind a proxy sends its DCR, DCA and Reject in frames to the proxy's layer-2 id, and takes frames with its own id
out of the PDUs of direct radio. A UE that serves as proxy forwards frames of others, within the proxy's limits. One UE
can do both. The carrier bears no links: Confirm and all later messages use direct radio, so the two UEs have to hear
each other then. The carrier is on top of direct radio, so its addresses are layer-2 ids: the origin field holds the
source.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from prose_link.carriers.protocol import MAX_WAITING, Carried, Carrier, CarrierParts
from prose_link.carriers.proxy import Proxy, ProxyEnd, RelayFrame, RelayFrameError, encode
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.party import MAX_SDU_OCTETS, UNKNOWN_L2, CarrierError, CarrierTraits, Party, Via
from prose_link.pc5s.wire.pdus import LCID_UNPROTECTED
from radio.l2.blocks import AddressPair
from radio.l2.indications import PduReceived
from radio.l2.pdcp import OneToOnePdu, PdcpPduError, SduType, decode_one_to_one, encode_one_to_one
from radio.l2.pdcp_entity import PdcpPdu

PROXY: Final = "proxy"
FRAME_OCTETS: Final = 16
"""Octets of a relay frame without PDU: type, sequence number, hop limit, path id, two layer-2 ids, length (PROFILE 12).
"""
TRAITS: Final = CarrierTraits(
    name=PROXY,
    addresses_count=True,
    knows_sources=False,
    repeats_by_itself=False,
    bears_links=False,
    max_pdu_octets=MAX_SDU_OCTETS - FRAME_OCTETS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """Set-ups through a D2D proxy: the proxy that this UE sends through, and whether this UE is a proxy for others."""

    proxy_l2: Annotated[int, Field(ge=0, lt=0xFFFFFF)] = UNKNOWN_L2
    """Layer-2 id of the proxy that this UE sends through; 0: none, it calls no peer this way."""
    serve: bool = False
    """Forward the frames of other UEs."""


class ProxyCarrier:
    """A `Carrier` on top of direct radio.

    Args:
        options: the proxy, and whether to be one.
        parts: what the UE lends.
    """

    def __init__(self, options: ProxyOptions, parts: CarrierParts) -> None:
        self._options = options
        self._own_l2 = parts.l2_id
        self._direct = parts.direct
        self._now = parts.now
        self._end = ProxyEnd(parts.l2_id, parts.random_bytes)
        self._proxy = Proxy(parts.l2_id) if options.serve else None
        self._waiting: deque[Carried] = deque(maxlen=MAX_WAITING)
        self._counters: Counter[str] = Counter()
        self._closed = False
        parts.direct.divert(self._take)

    @property
    def name(self) -> str:
        """`proxy`."""
        return PROXY

    @property
    def traits(self) -> CarrierTraits:
        """The traits of every proxy."""
        return TRAITS

    @property
    def counters(self) -> Mapping[str, int]:
        """Results for frames of other UEs, and PDUs for which direct radio had no room."""
        return self._counters + Counter(self._proxy.counters if self._proxy else {})

    def reaches(self, identity: str, l2_id: int | None) -> Party | None:
        """A peer whose layer-2 id is known, if there is a proxy to send through."""
        if not (self._options.proxy_l2 and l2_id):
            return None
        return Party(identity=identity, l2_id=l2_id, via=Via(traits=TRAITS, address=l2_id))

    def check_room(self, to: Via, pair: AddressPair, lcid: int, octets: int) -> None:  # noqa: ARG002
        """Raise CarrierError if it is not LCID 28, there is no proxy, or direct radio has no room."""
        next_hop = self._next_hop(lcid)
        onward = AddressPair(self._own_l2, next_hop)
        self._direct.check_room(self._by_radio(next_hop), onward, LCID_UNPROTECTED, octets + FRAME_OCTETS)

    def send(self, pdu: PdcpPdu, to: Via) -> None:
        """Put the PC5-S message into a frame for the proxy. Raises CarrierError."""
        next_hop = self._next_hop(pdu.lcid)
        message = _message_in(pdu.data)
        if message is None or not isinstance(to.address, int):
            raise CarrierError("the proxy takes PC5-S without protection only, to a layer-2 id")
        self._send_frame(self._end.wrap(message, to.address), next_hop)

    def queued_octets(self, to: Via) -> int:  # noqa: ARG002
        """Octets that wait for the proxy."""
        return self._direct.queued_octets(self._by_radio(self._options.proxy_l2))

    def receive(self) -> list[Carried]:
        """Messages that came in frames for this UE."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def close(self) -> None:
        """Accept and forward nothing any more."""
        self._closed = True
        self._waiting.clear()

    def _take(self, carried: Carried) -> bool:
        """Take a relay frame out of the PDUs of direct radio; leave all other PDUs."""
        octets = _message_in(carried.pdu.data) if carried.pdu.lcid == LCID_UNPROTECTED else None
        if self._closed or not octets or octets[0] != MessageType.RELAY_FRAME:
            return False
        frame = self._end.unwrap(octets)
        if frame is not None:
            self._waiting.append(self._opened(frame))
        elif self._proxy is not None:
            onward = self._proxy.forward(octets, self._now())
            if onward is not None:
                self._hand_on(onward)
        return True

    def _opened(self, frame: RelayFrame) -> Carried:
        pdu = PduReceived(
            src_l2=frame.origin_l2,
            dst_l2=self._own_l2,
            lcid=LCID_UNPROTECTED,
            to_group=False,
            data=_headed(frame.pdu),
        )
        return Carried(pdu=pdu, via=Via(traits=TRAITS, address=frame.origin_l2))

    def _hand_on(self, frame: RelayFrame) -> None:
        try:
            self._send_frame(encode(frame), frame.destination_l2)
        except (CarrierError, RelayFrameError):
            self._counters["no room for a frame"] += 1

    def _send_frame(self, frame: bytes, dst_l2: int) -> None:
        """Raises CarrierError."""
        data = _headed(frame)
        to = self._by_radio(dst_l2)
        self._direct.check_room(to, AddressPair(self._own_l2, dst_l2), LCID_UNPROTECTED, len(data))
        pdu = PdcpPdu(src_l2=self._own_l2, dst_l2=dst_l2, lcid=LCID_UNPROTECTED, to_group=False, data=data)
        self._direct.send(pdu, to)

    def _next_hop(self, lcid: int) -> int:
        """The proxy's party. Raises CarrierError if nothing can be sent to it."""
        if self._closed or not self._options.proxy_l2:
            raise CarrierError("no proxy to send through" if not self._closed else "the proxy is closed")
        if lcid != LCID_UNPROTECTED:
            raise CarrierError(f"the proxy takes LCID {LCID_UNPROTECTED} only, not {lcid}")
        return self._options.proxy_l2

    def _by_radio(self, l2_id: int) -> Via:
        return Via(traits=self._direct.traits, address=l2_id)


def _message_in(octets: bytes) -> bytes | None:
    """The PC5-S message in an unprotected PDCP PDU; None if there is none."""
    try:
        pdu = decode_one_to_one(octets)
    except PdcpPduError:
        return None
    return pdu.data if pdu.sdu_type is SduType.PC5_SIGNALLING and not pdu.kd_sess_id else None


def _headed(message: bytes) -> bytes:
    """A PC5-S message with the PDCP header of LCID 28."""
    return encode_one_to_one(OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=message))


class _Kind:
    """The proxy in a UE's configuration; a `CarrierKind`."""

    name: ClassVar[str] = PROXY
    options: ClassVar[type[Any]] = ProxyOptions

    def open(self, options: Any, parts: CarrierParts) -> Carrier:
        """Open the carrier on top of the UE's direct radio. Raises CarrierError for a proxy that is this UE itself."""
        if options.proxy_l2 == parts.l2_id:
            raise CarrierError(f"carriers.proxy: proxy_l2 {options.proxy_l2:06x} is this UE itself")
        return ProxyCarrier(options, parts)


KIND: Final = _Kind()
