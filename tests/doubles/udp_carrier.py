"""A carrier over UDP, in one file: the model of one that another package brings.

Each UE has a socket. A datagram is an envelope, source and destination layer-2 id and LCID, then the PDCP PDU. Any
sender can write any ids into an envelope, so they don't count, unless `trusted` says that no other party is on this
network. The carrier bears links, since there need be no radio.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from prose_link.carriers.protocol import MAX_WAITING, Carried, Carrier, CarrierParts
from prose_link.pc5s.wire.party import UNKNOWN_L2, CarrierError, CarrierTraits, Party, Via
from radio.l2.blocks import AddressPair
from radio.l2.indications import PduReceived
from radio.l2.pdcp_entity import PdcpPdu

MAX_DATAGRAM_OCTETS: Final = 1472
"""What goes over an Ethernet in one piece."""
ENVELOPE_OCTETS: Final = 7
PDCP_OCTETS: Final = 9
TRAITS: Final = CarrierTraits(
    name="udp",
    addresses_count=False,
    knows_sources=False,
    repeats_by_itself=False,
    bears_links=True,
    t4100_s=0.5,
    n4100=12,
    t4111_s=6.0,
    max_pdu_octets=MAX_DATAGRAM_OCTETS - ENVELOPE_OCTETS - PDCP_OCTETS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpOptions:
    """Where this UE listens, and where others do."""

    port: int = 0
    """0: one that is free."""
    peers: Mapping[str, int] = field(default_factory=dict)
    """Identity -> its port on this machine."""
    trusted: bool = False
    """The ids in envelopes are taken to be true."""


class UdpCarrier:
    """A `Carrier`."""

    name = TRAITS.name

    def __init__(self, options: UdpOptions, parts: CarrierParts) -> None:
        self._own_l2 = parts.l2_id
        self._peers = options.peers
        self.traits = replace(TRAITS, addresses_count=options.trusted)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(("127.0.0.1", options.port))
        except OSError as error:
            self._socket.close()
            raise CarrierError(f"UDP port {options.port}: {error.strerror}") from error
        self._socket.setblocking(False)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def reaches(self, identity: str, l2_id: int | None) -> Party | None:
        """Any peer with a port in the options; its layer-2 id may be unknown."""
        if identity not in self._peers:
            return None
        return Party(identity=identity, l2_id=l2_id, via=self._via("127.0.0.1", self._peers[identity]))

    def check_room(self, to: Via, pair: AddressPair, lcid: int, octets: int) -> None:
        """Raises CarrierError for what needs two datagrams, and once it is closed."""
        if self._socket.fileno() < 0:
            raise CarrierError("the UDP carrier is closed")
        if octets > MAX_DATAGRAM_OCTETS - ENVELOPE_OCTETS:
            raise CarrierError(f"{octets} octets are too long for a datagram")

    def send(self, pdu: PdcpPdu, to: Via) -> None:
        """One PDU, one datagram."""
        self.check_room(to, AddressPair(pdu.src_l2, pdu.dst_l2), pdu.lcid, len(pdu.data))
        envelope = pdu.src_l2.to_bytes(3) + pdu.dst_l2.to_bytes(3) + bytes([pdu.lcid])
        try:
            self._socket.sendto(envelope + pdu.data, to.address)  # type: ignore[call-overload]
        except OSError as error:
            raise CarrierError(f"UDP to {to.address}: {error.strerror}") from error

    def queued_octets(self, to: Via) -> int:
        """Nothing waits."""
        return 0

    def receive(self) -> list[Carried]:
        """Whatever the socket holds; what is no envelope is left out."""
        taken: list[Carried] = []
        for _ in range(MAX_WAITING):
            try:
                octets, (host, port) = self._socket.recvfrom(2048)
            except OSError:
                break
            if len(octets) > ENVELOPE_OCTETS:
                taken.append(Carried(pdu=self._opened(octets), via=self._via(host, port)))
        return taken

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _opened(self, octets: bytes) -> PduReceived:
        return PduReceived(
            src_l2=int.from_bytes(octets[:3]),
            dst_l2=int.from_bytes(octets[3:6]) or UNKNOWN_L2,
            lcid=octets[6],
            to_group=False,
            data=octets[7:],
        )

    def _via(self, host: str, port: int) -> Via:
        return Via(traits=self.traits, address=(host, port), source=host)


class UdpKind:
    """A `CarrierKind`."""

    name: ClassVar[str] = TRAITS.name
    options: ClassVar[type[Any]] = UdpOptions

    def open(self, options: Any, parts: CarrierParts) -> Carrier:
        """Bind the socket."""
        return UdpCarrier(options, parts)


KIND: Final = UdpKind()
