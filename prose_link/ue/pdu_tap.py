"""What crossed the layers of a UE, as events that captures are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prose_link.event_stream import PduSeen
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.ies import MalformedMessage
from radio.l2 import indications as l2_events
from radio.phy.lte.channels.mib import MibSl


class Sightings:
    """Turns PDUs into `PduSeen` events.

    Args:
        emit: takes the events.
        subframe: tells the subframe the UE is at.
    """

    def __init__(self, emit: Callable[[PduSeen], None], subframe: Callable[[], int]) -> None:
        self._emit = emit
        self._subframe = subframe

    def see(
        self,
        layer: str,
        direction: str,
        data: bytes,
        src_l2: int = 0,
        dst_l2: int = 0,
        lcid: int = 0,
        subframe: int | None = None,
    ) -> None:
        """One PDU of a layer; `subframe` where it is not the present one."""
        self._emit(
            PduSeen(
                layer=layer,
                direction=direction,
                subframe=self._subframe() if subframe is None else subframe,
                data=data,
                src_l2=src_l2,
                dst_l2=dst_l2,
                lcid=lcid,
            )
        )

    def layer_2(self, pdu: l2_events.PduSeen) -> None:
        """The observer layer 2 is given; RLC PDUs are seen inside the MAC PDUs."""
        if pdu.layer != "rlc":
            self.see(pdu.layer, pdu.direction, pdu.data, pdu.src_l2, pdu.dst_l2, pdu.lcid)

    def mib(self, mib: MibSl, subframe: int, direction: str) -> None:
        """A MIB-SL, as whole octets."""
        self.see("mib_sl", direction, np.packbits(mib.to_bits()).tobytes(), subframe=subframe)

    def signalling(self, direction: str, data: bytes, src_l2: int, dst_l2: int, lcid: int) -> None:
        """A PC5-S message, and the I_MESSAGE inside it as a frame of its own, which Wireshark knows."""
        self.see("pc5s", direction, data, src_l2, dst_l2, lcid)
        i_message = _i_message_in(data)
        if i_message:
            self.see("mikey", direction, i_message, src_l2, dst_l2, lcid)


def _i_message_in(octets: bytes) -> bytes | None:
    """The I_MESSAGE a PC5-S message carries, None where it carries none or is malformed."""
    try:
        i_message: bytes | None = getattr(decode(octets), "i_message", None)
    except MalformedMessage:
        return None
    return i_message
