"""The port between a UE and a carrier: whatever takes its PDCP PDUs to other UEs, and brings theirs.

PDCP stands above every carrier. A PDU is sealed before a carrier gets it and opened after one has brought it, so that a
protected PDU can go by any carrier that bears links, and a carrier never sees a key. On LCID 28 the PDCP PDU is five
octets of header, type and zeros, before the PC5-S message; a carrier may leave them out on its way, as long as the
other end puts them back (PROFILE 12: what is inside, and what is outside and free to change).

Who calls what, and when. One thread does all this:

1. A UE is put together: `CarrierKind.open` for each table of `[carriers]`; direct radio is always there.
2. The UE wants a link: `reaches`, of the carrier by which the peer is to be called. It gives a `Party`, or None for
   now; it is asked again in each step until it does.
3. The UE sends: `check_room` before a number is spent on sealing, then `send` with the sealed PDU. User data waits
   above the carrier while `queued_octets` says that much waits below.
4. In each step, once a subframe: `receive`. It gives what has come since, and never waits.
5. The UE is switched off: `close`.

What holds for each of them: nothing that a peer sends raises; every queue is bounded; what can't be sent raises
`CarrierError` and leaves nothing behind. A carrier says who sent a PDU by its `Via` alone; the layer-2 ids of a PDU are
worth what the carrier's traits say.
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
"""PDUs that a carrier keeps until they are taken, at most; the oldest makes room."""


class CarrierNotFound(CarrierError):
    """No carrier of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A PDCP PDU that has come, and the way it came by."""

    pdu: PduReceived
    via: Via
    named_sender: str = ""
    """Whom the carrier names as the sender, "" for nobody; it proves nothing (PROFILE 12, C7)."""


@runtime_checkable
class Carrier(Protocol):
    """One way for the PDUs of one UE."""

    @property
    def name(self) -> str:
        """What configuration, events and captures call it: that of its traits."""
        ...

    @property
    def traits(self) -> CarrierTraits:
        """What is true of it; the same as long as it is open."""
        ...

    def reaches(self, identity: str, l2_id: int | None) -> Party | None:
        """Where a peer is by this carrier; None while the carrier can't tell.

        Args:
            identity: the peer's.
            l2_id: its layer-2 id, None where it is not known.
        """
        ...

    def check_room(self, to: Via, pair: AddressPair, lcid: int, octets: int) -> None:
        """Raises CarrierError where a PDU of so many octets, header and MAC-I included, can't be sent now."""
        ...

    def send(self, pdu: PdcpPdu, to: Via) -> None:
        """Send a sealed PDU. Raises CarrierError."""
        ...

    def queued_octets(self, to: Via) -> int:
        """Octets that wait for somebody."""
        ...

    def receive(self) -> list[Carried]:
        """What has come since the last call, in order, at most MAX_WAITING PDUs. Never waits, never raises."""
        ...

    def close(self) -> None:
        """Give back what is not this process's own; may be called twice. Nothing is sent or received any more."""
        ...


class DirectRadio(Carrier, Protocol):
    """What direct radio offers to carriers that lie on top of it."""

    def divert(self, taker: Callable[[Carried], bool]) -> None:
        """Show each PDU to `taker` first; one for which it says True is given to nobody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierParts:
    """What a UE lends to its carriers."""

    identity: str
    l2_id: int
    direct: DirectRadio
    now: Callable[[], Instant]
    random_bytes: Callable[[int], bytes]
    """For what has to differ, not for what protects."""
    emit: Callable[[object], None]
    """Takes the carrier's events (`carriers.events`, or a plug-in's own)."""
    asserted: Callable[[str], str] = lambda _: ""
    """Whom a telephone number stands for in a carrier's word, by the UE's identity map; "" where that says nothing."""


@runtime_checkable
class CarrierKind(Protocol):
    """One kind of carrier: what it is called, its options in `[carriers.NAME]`, and how it is opened."""

    name: str
    options: type[Any]
    """A frozen dataclass: the keys of its table, each with its meaning under it."""

    def open(self, options: Any, parts: CarrierParts) -> Carrier:
        """A carrier that works; `options` is an instance of the kind's. Raises CarrierError."""
        ...
