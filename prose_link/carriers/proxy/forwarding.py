"""A D2D proxy: hands PDUs on between UEs that do not hear each other (PROFILE 12). No sockets, no clock, no keys.

For each frame that has come, in this order: is it a frame, does this proxy serve its kind and its origin, has it a
destination and hops left, is it new, are there tokens for it? Only then it goes on, with one hop less, to the neighbour
that the destination's frames came from. Where that is not known, it goes to the destination itself. A frame around a
PC5-S message then goes to every proxy beyond this one too: the answer teaches the way.

A frame never goes back to the neighbour that it came from. That, the hop limit and the memory of repeats end loops.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from prose_link.carriers.proxy.frames import (
    MAX_HOPS,
    UNKNOWN_DESTINATION,
    AnyFrame,
    RelayedPdcp,
    RelayFrame,
    RelayFrameError,
    decode,
)
from prose_link.carriers.proxy.next_hops import NextHops
from prose_link.instant import Instant
from prose_link.pc5s.core.buckets import Buckets, Rate

MEMORY_S: Final = 10.0
"""How long a frame handed on is remembered (PROFILE 12)."""
MAX_REMEMBERED: Final = 1024
FORWARDED_PER_ORIGIN: Final = Rate(per_s=5, burst=10)
"""Frames around PC5-S messages of one origin."""
_ORIGINS_SHARE: Final = 2
"""One origin gets at most this part of the data frames of a second: a half, so that both ends of a link get on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRules:
    """What the owner of a proxy consents to."""

    relay_data: bool = False
    """Hand on the protected PDUs of links too, not just what sets them up."""
    serve_for: frozenset[int] = frozenset()
    """Layer-2 ids of the UEs whose frames are handed on; none: every UE's."""
    hop_limit: int = MAX_HOPS
    """Hops that a frame has at most when it leaves."""
    frames_per_s: int = 50
    """Frames around PC5-S messages a second, of all origins together."""
    data_frames_per_s: int = 2000
    """Frames around PDUs of links a second, of all origins together; one origin gets half of them at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOn:
    """A frame to send, and the neighbour to send it to."""

    frame: AnyFrame
    to_l2: int


class Proxy:
    """Hands frames on: drops repeats for 10 s, counts hops down, limits each origin; opens and answers nothing.

    Args:
        own_l2: the proxy's layer-2 id.
        rules: what it does, and for which UEs.
        beyond: further proxies, which are asked for UEs that this one has not heard.
    """

    def __init__(self, own_l2: int, rules: ProxyRules | None = None, beyond: tuple[int, ...] = ()) -> None:
        self._own_l2 = own_l2
        self._rules = rules or ProxyRules()
        self._beyond = beyond
        self._hops = NextHops(())
        self._seen: dict[type, OrderedDict[tuple[int, bytes], float]] = {
            RelayFrame: OrderedDict(),
            RelayedPdcp: OrderedDict(),
        }
        signalling, data = self._rules.frames_per_s, self._rules.data_frames_per_s
        per_origin = max(1, data // _ORIGINS_SHARE)
        self._buckets = {
            RelayFrame: Buckets(Rate(per_s=signalling, burst=signalling), FORWARDED_PER_ORIGIN),
            RelayedPdcp: Buckets(Rate(per_s=data, burst=data), Rate(per_s=per_origin, burst=per_origin)),
        }
        self._counters: Counter[str] = Counter()

    @property
    def counters(self) -> Mapping[str, int]:
        """How often a frame was handed on, and how often each reason not to has come up."""
        return Counter(self._counters)

    def forward(self, octets: bytes, came_from_l2: int, now: Instant) -> tuple[HandedOn, ...]:
        """What to send on, and to which neighbours; nothing where the frame ends here."""
        try:
            frame = decode(octets)
        except RelayFrameError:
            self._counters["no relay frame"] += 1
            return ()
        fault = self._fault(frame, now)
        if fault is None:
            self._hops.learn(frame.origin_l2, came_from_l2, now.mono_s)
            hops = self._next_hops(frame, came_from_l2, now.mono_s)
            fault = None if hops else "no way to the destination"
        self._counters[fault or "handed on"] += 1
        if fault is not None:
            return ()
        onward = replace(frame, hop_limit=min(frame.hop_limit - 1, self._rules.hop_limit))
        return tuple(HandedOn(frame=onward, to_l2=hop) for hop in hops)

    def _next_hops(self, frame: AnyFrame, came_from_l2: int, now_s: float) -> tuple[int, ...]:
        known = self._hops.known(frame.destination_l2, now_s)
        if known is not None:
            return (known,) if known != came_from_l2 else ()
        if isinstance(frame, RelayedPdcp):
            return (frame.destination_l2,)
        beyond = (hop for hop in self._beyond if hop not in (came_from_l2, frame.origin_l2, frame.destination_l2))
        return (frame.destination_l2, *beyond)

    def _fault(self, frame: AnyFrame, now: Instant) -> str | None:
        rules = self._rules
        if isinstance(frame, RelayedPdcp) and not rules.relay_data:
            return "data is not handed on"
        if rules.serve_for and frame.origin_l2 not in rules.serve_for:
            return "this origin is not served"
        if frame.destination_l2 in (UNKNOWN_DESTINATION, self._own_l2, frame.origin_l2):
            return "no destination to hand on to"
        if frame.hop_limit == 1:
            return "hop limit"
        if self._repeats(frame, now):
            return "repeat"
        if not self._buckets[type(frame)].take(frame.origin_l2, now.mono_s):
            return "too many frames of this origin"
        return None

    def _repeats(self, frame: AnyFrame, now: Instant) -> bool:
        seen = self._seen[type(frame)]
        while seen and next(iter(seen.values())) <= now.mono_s - MEMORY_S:
            seen.popitem(last=False)
        key = (frame.path_id, hashlib.sha256(frame.pdu).digest())
        if key in seen:
            return True
        seen[key] = now.mono_s
        if len(seen) > MAX_REMEMBERED:
            seen.popitem(last=False)
        return False
