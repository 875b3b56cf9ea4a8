"""A UE behind proxies: puts PDUs into frames, and takes out those that are for it. No sockets, no clock, no keys."""

from __future__ import annotations

from collections.abc import Callable

from prose_link.carriers.proxy.frames import (
    MAX_HOPS,
    UNKNOWN_DESTINATION,
    AnyFrame,
    RelayedPdcp,
    RelayFrame,
    RelayFrameError,
    decode,
    encode,
)


class ProxyEnd:
    """One UE's end of all ways through proxies.

    Args:
        own_l2: its layer-2 id.
        random_bytes: for path ids, by which proxies tell a new frame from a repeat.
    """

    def __init__(self, own_l2: int, random_bytes: Callable[[int], bytes]) -> None:
        self._own_l2 = own_l2
        self._random_bytes = random_bytes
        self._sequence_number = 0

    def wrap(self, pdu: bytes, destination_l2: int) -> bytes:
        """The frame around a DCR, DCA or Reject; raises RelayFrameError."""
        return encode(
            RelayFrame(
                sequence_number=self._next_number(),
                hop_limit=MAX_HOPS,
                path_id=self._new_path_id(),
                origin_l2=self._own_l2,
                destination_l2=destination_l2,
                pdu=pdu,
            )
        )

    def wrap_pdcp(self, pdu: bytes, lcid: int, destination_l2: int) -> bytes:
        """The frame around a sealed PDCP PDU of a link; raises RelayFrameError."""
        return encode(
            RelayedPdcp(
                sequence_number=self._next_number(),
                hop_limit=MAX_HOPS,
                path_id=self._new_path_id(),
                origin_l2=self._own_l2,
                destination_l2=destination_l2,
                lcid=lcid,
                pdu=pdu,
            )
        )

    def unwrap(self, octets: bytes) -> AnyFrame | None:
        """The frame, if it is for this UE; None for anything else."""
        try:
            frame = decode(octets)
        except RelayFrameError:
            return None
        if frame.destination_l2 not in (UNKNOWN_DESTINATION, self._own_l2) or frame.origin_l2 == self._own_l2:
            return None
        return frame

    def _next_number(self) -> int:
        self._sequence_number = (self._sequence_number + 1) & 0xFFFF
        return self._sequence_number

    def _new_path_id(self) -> int:
        return int.from_bytes(self._random_bytes(4))
