"""Direct radio as a carrier: the UE's own access to the sidelink. Its addresses are layer-2 ids, which can be forged.

The access returns PDUs among all its other indications. So the owner passes each PDU to `heard` when its place in the
order of indications has come. A carrier on top of direct radio, such as a proxy with its relay frames, takes its PDUs
out by `divert`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from prose_link.carriers.protocol import MAX_WAITING, Carried
from prose_link.pc5s.wire.party import CarrierError, CarrierTraits, Party, Via, by_radio
from radio.access.protocol import SidelinkAccess
from radio.l2.blocks import AddressPair
from radio.l2.indications import PduReceived
from radio.l2.logical_channels import AddressError, check_l2_id
from radio.l2.mac import QueueFull
from radio.l2.pdcp_entity import PdcpPdu


class Direct:
    """A `Carrier` over a `SidelinkAccess`; closing it leaves the access alone.

    Args:
        access: the radio.
        traits: those of direct radio, with the UE's timers.
    """

    def __init__(self, access: SidelinkAccess, traits: CarrierTraits) -> None:
        self._access = access
        self._traits: Final = traits
        self._waiting: deque[Carried] = deque(maxlen=MAX_WAITING)
        self._takers: list[Callable[[Carried], bool]] = []
        self._closed = False

    @property
    def name(self) -> str:
        """`direct`."""
        return self._traits.name

    @property
    def traits(self) -> CarrierTraits:
        """The traits with which it was made."""
        return self._traits

    def reaches(self, identity: str, l2_id: int | None) -> Party | None:
        """The peer at its layer-2 id. Only its answer shows whether it hears."""
        return by_radio(self._traits, identity, l2_id) if l2_id else None

    def check_room(self, to: Via, pair: AddressPair, lcid: int, octets: int) -> None:  # noqa: ARG002
        """Raise CarrierError if MAC's queue has no room, there is no destination, or the UE is switched off."""
        if self._closed:
            raise CarrierError("direct radio is closed")
        try:
            check_l2_id(pair.dst_l2)
            self._access.check_room(pair, lcid, octets)
        except (AddressError, QueueFull) as error:
            raise CarrierError(str(error)) from error

    def send(self, pdu: PdcpPdu, to: Via) -> None:  # noqa: ARG002
        """Queue a PDU for its layer-2 id. Raises CarrierError."""
        if self._closed:
            raise CarrierError("direct radio is closed")
        try:
            check_l2_id(pdu.dst_l2)
            self._access.offer(pdu)
        except (AddressError, QueueFull) as error:
            raise CarrierError(str(error)) from error

    def queued_octets(self, to: Via) -> int:
        """Octets that wait in MAC for a layer-2 id."""
        return self._access.queued_octets(to.address) if isinstance(to.address, int) else 0

    def heard(self, pdu: PduReceived) -> None:
        """Take a PDU that the access has reassembled."""
        carried = Carried(pdu=pdu, via=Via(traits=self._traits, address=pdu.src_l2))
        if not self._closed and not any(taker(carried) for taker in self._takers):
            self._waiting.append(carried)

    def divert(self, taker: Callable[[Carried], bool]) -> None:
        """Pass each PDU to `taker` first."""
        self._takers.append(taker)

    def receive(self) -> list[Carried]:
        """PDUs that were heard since the last call and not diverted."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def close(self) -> None:
        """Accept and return nothing any more."""
        self._closed = True
        self._waiting.clear()
