"""A D2D proxy: forwards PC5-S PDUs between UEs that do not hear each other (PROFILE 12). No sockets, no clock, no keys.

The relay frame is in the table of messages; it uses LCID 28. Hop limit at most 4, path id random, destination 0 if it
is unknown.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from prose_link.errors import ProseLinkError
from prose_link.instant import Instant
from prose_link.pc5s.core.buckets import Buckets, Rate
from prose_link.pc5s.wire.framing import bind, read_message, write_message
from prose_link.pc5s.wire.ies import MalformedMessage
from prose_link.pc5s.wire.messages import MessageType
from prose_link.pc5s.wire.table import RELAY

MAX_HOPS: Final = 4
UNKNOWN_DESTINATION: Final = 0
MEMORY_S: Final = 10.0
"""Time for which a forwarded frame is remembered (PROFILE 12)."""
MAX_REMEMBERED: Final = 1024
FORWARDED_ALL: Final = Rate(per_s=50, burst=50)
FORWARDED_PER_ORIGIN: Final = Rate(per_s=5, burst=10)


class RelayFrameError(ProseLinkError):
    """Octets that are no relay frame, or a frame that has no encoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFrame:
    """One PC5-S PDU on its way through proxies."""

    TYPE: ClassVar[MessageType] = MessageType.RELAY_FRAME
    sequence_number: int
    hop_limit: int
    path_id: int
    origin_l2: int
    destination_l2: int
    pdu: bytes


_LAYOUTS: Final = bind(RELAY, RelayFrame)


def encode(frame: RelayFrame) -> bytes:
    """The octets of a relay frame; raises RelayFrameError for values that don't fit."""
    _check_hops(frame)
    try:
        return write_message(frame.TYPE, frame, _LAYOUTS[RelayFrame])
    except MalformedMessage as error:
        raise RelayFrameError(f"this relay frame has no encoding: {error}") from None


def decode(octets: bytes) -> RelayFrame:
    """The relay frame in these octets. Raises RelayFrameError, and nothing else, for any other octets."""
    try:
        frame = read_message(octets, _LAYOUTS)
    except MalformedMessage as error:
        raise RelayFrameError(f"no relay frame: {error}") from None
    _check_hops(frame)
    return frame


def _check_hops(frame: RelayFrame) -> None:
    if not 1 <= frame.hop_limit <= MAX_HOPS:
        raise RelayFrameError(f"hop limit {frame.hop_limit}: it must be 1 to {MAX_HOPS}")


class ProxyEnd:
    """A UE behind a proxy: it puts its PDUs into relay frames, and takes out those that are for it."""

    def __init__(self, own_l2: int, random_bytes: Callable[[int], bytes]) -> None:
        self._own_l2 = own_l2
        self._random_bytes = random_bytes
        self._sequence_number = 0

    def wrap(self, pdu: bytes, destination_l2: int) -> bytes:
        """The frame around a DCR, DCA or Reject; raises RelayFrameError."""
        self._sequence_number = (self._sequence_number + 1) & 0xFFFF
        return encode(
            RelayFrame(
                sequence_number=self._sequence_number,
                hop_limit=MAX_HOPS,
                path_id=int.from_bytes(self._random_bytes(4)),
                origin_l2=self._own_l2,
                destination_l2=destination_l2,
                pdu=pdu,
            )
        )

    def unwrap(self, octets: bytes) -> RelayFrame | None:
        """The frame, if it is for this UE; None for any other octets."""
        try:
            frame = decode(octets)
        except RelayFrameError:
            return None
        if frame.destination_l2 not in (UNKNOWN_DESTINATION, self._own_l2) or frame.origin_l2 == self._own_l2:
            return None
        return frame


class Proxy:
    """Forwards frames.

    It drops repeats for 10 s, decrements hop limits, limits each origin, and opens and answers nothing.
    """

    def __init__(self, own_l2: int) -> None:
        self._own_l2 = own_l2
        self._seen: OrderedDict[tuple[int, bytes], float] = OrderedDict()
        self._buckets = Buckets(FORWARDED_ALL, FORWARDED_PER_ORIGIN)
        self._counters: Counter[str] = Counter()

    @property
    def counters(self) -> Mapping[str, int]:
        """The number of forwarded frames, and of dropped frames for each reason."""
        return Counter(self._counters)

    def forward(self, octets: bytes, now: Instant) -> RelayFrame | None:
        """The frame to send on to its destination; None if it ends here. `octets` came on LCID 28."""
        try:
            frame = decode(octets)
        except RelayFrameError:
            self._counters["no relay frame"] += 1
            return None
        fault = self._fault(frame, now)
        self._counters[fault or "handed on"] += 1
        return None if fault is not None else replace(frame, hop_limit=frame.hop_limit - 1)

    def _fault(self, frame: RelayFrame, now: Instant) -> str | None:
        if frame.destination_l2 in (UNKNOWN_DESTINATION, self._own_l2, frame.origin_l2):
            return "no destination to hand on to"
        if frame.hop_limit == 1:
            return "hop limit"
        if self._repeats(frame, now):
            return "repeat"
        if not self._buckets.take(frame.origin_l2, now.mono_s):
            return "too many frames of this origin"
        return None

    def _repeats(self, frame: RelayFrame, now: Instant) -> bool:
        while self._seen and next(iter(self._seen.values())) <= now.mono_s - MEMORY_S:
            self._seen.popitem(last=False)
        key = (frame.path_id, hashlib.sha256(frame.pdu).digest())
        if key in self._seen:
            return True
        self._seen[key] = now.mono_s
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        return False
