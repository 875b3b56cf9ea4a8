"""The port between a UE and a carrier, which transports PDCP PDUs to and from other UEs.

PDCP stands above every carrier. A PDU is sealed before a carrier gets it, and opened after a carrier has brought it. So
a protected PDU can use any carrier that bears links, and a carrier never sees a key. On LCID 28 the PDCP PDU has five
octets of header, type and zeros, before the PC5-S message; a carrier may leave them out on its way if the other end
puts them back (PROFILE 12: the octets inside, and the parts outside that may change).

The calls, and when they come; one thread makes all of them:

1. A UE is built: `CarrierKind.open` for each table of `[carriers]`; direct radio always exists.
2. The UE wants a link: `reaches`, of the carrier by which the peer is to be called. It returns a `Party`, or None for
   the moment; the UE calls it again in each step until there is one.
3. The UE sends: `check_room` before it spends a number on sealing, then `send` with the sealed PDU. User data waits
   above the carrier while `queued_octets` is large.
4. In each step, once a subframe: `receive`. It returns the PDUs that have come since, and never waits.
5. The UE is switched off: `close`.

Rules for every carrier: input from a peer never raises; every queue is bounded; a PDU that can't be sent raises
`CarrierError` and leaves no partial state. Only the `Via` of a PDU names its sender; the traits of the carrier say
whether the layer-2 ids of a PDU can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from prose_link.instant import Instant
from prose_link.pc5s.wire.party import CarrierError, CarrierTraits, Party, Via
from radio.l2.blocks import AddressPair
from radio.l2.indications import PduReceived
from radio.l2.pdcp_entity import PdcpPdu

MAX_WAITING: Final = 256
"""Most PDUs that a carrier keeps until they are taken; the oldest is dropped when it is full."""


class CarrierNotFound(CarrierError):
    """There is no carrier of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A PDCP PDU that has come, and the way by which it came."""

    pdu: PduReceived
    via: Via
    named_sender: str = ""
    """Whom the carrier names as the sender, "" for no identity; it proves nothing (PROFILE 12, C7)."""


@runtime_checkable
class Carrier(Protocol):
    """One way for the PDUs of one UE."""

    @property
    def name(self) -> str:
        """Its name in configuration, events and captures: that of its traits."""
        ...

    @property
    def traits(self) -> CarrierTraits:
        """Its properties; they don't change while it is open."""
        ...

    def reaches(self, identity: str, l2_id: int | None) -> Party | None:
        """The peer at its address on this carrier; None while the carrier doesn't know it.

        Args:
            identity: the peer's identity.
            l2_id: its layer-2 id, None if it is not known.
        """
        ...

    def check_room(self, to: Via, pair: AddressPair, lcid: int, octets: int) -> None:
        """Raise CarrierError if a PDU of this many octets, header and MAC-I included, can't be sent now."""
        ...

    def send(self, pdu: PdcpPdu, to: Via) -> None:
        """Send a sealed PDU. Raises CarrierError."""
        ...

    def queued_octets(self, to: Via) -> int:
        """Octets that wait for a peer."""
        ...

    def receive(self) -> list[Carried]:
        """The PDUs that have come since the last call, in order, at most MAX_WAITING. Never waits, never raises."""
        ...

    def close(self) -> None:
        """Release resources outside this process. May be called twice. Nothing is sent or received any more."""
        ...


class DirectRadio(Carrier, Protocol):
    """The interface of direct radio for carriers on top of it."""

    def divert(self, taker: Callable[[Carried], bool]) -> None:
        """Pass each PDU to `taker` first. A PDU for which it returns True goes to no other receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierParts:
    """The parts of a UE that its carriers may use."""

    identity: str
    l2_id: int
    direct: DirectRadio
    now: Callable[[], Instant]
    random_bytes: Callable[[int], bytes]
    """Random numbers that have to differ; they protect nothing."""
    emit: Callable[[object], None]
    """Takes the carrier's events (`carriers.events`, or a plug-in's own)."""
    asserted: Callable[[str], str] = lambda _: ""
    """Whom a telephone number stands for in a carrier's word, by the UE's identity map; "" where that says nothing."""


@runtime_checkable
class CarrierKind(Protocol):
    """One kind of carrier: its name, its options in `[carriers.NAME]`, and the function that opens it."""

    name: str
    options: type[Any]
    """A frozen dataclass with the keys of its table; the string under each field is its meaning."""

    def open(self, options: Any, parts: CarrierParts) -> Carrier:
        """Open a carrier; `options` is an instance of the kind's class. Raises CarrierError."""
        ...
