"""The PDUs that cross the layers of a UE, as events for captures."""

from __future__ import annotations

from collections.abc import Callable

from prose_link.event_stream import PduSeen
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.party import DIRECT
from radio.l2 import indications as l2_events


class PduTap:
    """Turns PDUs into `PduSeen` events.

    Args:
        emit: called with the events.
    """

    def __init__(self, emit: Callable[[PduSeen], None]) -> None:
        self._emit = emit
        self.subframe = 0
        """Present subframe of the UE; the owner sets it."""
        self.carrier = DIRECT
        """Carrier of the PDUs that PDCP and the layers above it show now; the owner sets it."""

    def see(self, layer: str, direction: str, data: bytes, src_l2: int, dst_l2: int, lcid: int) -> None:
        """One PDU of a layer, in the present subframe."""
        self._see(layer, direction, data, src_l2, dst_l2, lcid, self.subframe, self._note)

    def layer_2(self, pdu: l2_events.PduSeen) -> None:
        """The observer of access and PDCP. RLC PDUs are part of the MAC PDUs."""
        if pdu.layer != "rlc":
            subframe = self.subframe if pdu.subframe is None else pdu.subframe
            note = self._note if pdu.layer == "pdcp" else ""
            self._see(pdu.layer, pdu.direction, pdu.data, pdu.src_l2, pdu.dst_l2, pdu.lcid, subframe, note)

    @property
    def _note(self) -> str:
        """Note of a capture for a PDU that does not use direct radio."""
        return "" if self.carrier == DIRECT else f"carrier {self.carrier}"

    def signalling(self, direction: str, data: bytes, src_l2: int, dst_l2: int, lcid: int) -> None:
        """A PC5-S message, and the I_MESSAGE inside it as a frame of its own, which Wireshark knows."""
        self.see("pc5s", direction, data, src_l2, dst_l2, lcid)
        i_message = _i_message_in(data)
        if i_message:
            self.see("mikey", direction, i_message, src_l2, dst_l2, lcid)

    def _see(
        self,
        layer: str,
        direction: str,
        data: bytes,
        src_l2: int,
        dst_l2: int,
        lcid: int,
        subframe: int,
        note: str,
    ) -> None:
        self._emit(
            PduSeen(
                layer=layer,
                direction=direction,
                subframe=subframe,
                data=data,
                src_l2=src_l2,
                dst_l2=dst_l2,
                lcid=lcid,
                note=note,
            )
        )


def _i_message_in(octets: bytes) -> bytes | None:
    """The I_MESSAGE a PC5-S message carries, None where it carries none or is malformed."""
    try:
        i_message: bytes | None = getattr(decode(octets), "i_message", None)
    except MalformedMessage:
        return None
    return i_message
