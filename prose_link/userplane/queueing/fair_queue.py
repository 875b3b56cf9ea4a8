"""FQ-CoDel: flows of one priority share a link fairly, and none has a standing queue (RFC 8290).

A packet's flow is known by a hash. Each flow has a queue with a CoDel of its own. Flows are served by deficit round
robin: each may send a quantum of octets in its turn. A flow that comes anew, or that never has more than it may send in
a turn, is in the list of new flows and is served before those that keep the link busy: so a ping does not wait for a
transfer, and no mark has to say which is which.

Bounds: packets and octets of all flows together; where a packet is too much, the flow with the longest queue loses its
oldest ones. So a flood harms itself, and TCP hears of it early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from prose_link.userplane.queueing.codel import Codel, CodelConfig

N_FLOWS: Final = 64
"""Queues that flows are spread over. RFC 8290 5.2.5 has 1024; a UE has few programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FairQueueConfig:
    """The bounds of a queue, and how it drops."""

    max_packets: int = 256
    max_octets: int = 192 * 1024
    quantum_octets: int = 300
    """What a flow may send in its turn. Less than a long packet: on a slow link short packets come first that way."""
    codel: CodelConfig = field(default_factory=CodelConfig)


@dataclass(slots=True, kw_only=True)
class DropCounts:
    """What went no further, and what went on with a mark."""

    early: int = 0
    """Dropped by CoDel."""
    overflow: int = 0
    """Dropped because there was no room."""
    marked: int = 0
    """Marked as having met congestion."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    packet: bytes
    since_s: float


@dataclass(slots=True)
class _Flow:
    codel: Codel
    packets: deque[_Waiting] = field(default_factory=deque)
    octets: int = 0
    deficit: int = 0
    is_listed: bool = False


class FairQueue:
    """The packets of one priority.

    Args:
        flow_of: a hash of what a packet's flow is known by.
        mark: the packet with its congestion mark set, None where it can't have one.
        config: bounds.
        drops: counts that are added to.
    """

    def __init__(
        self,
        flow_of: Callable[[bytes], int],
        mark: Callable[[bytes], bytes | None],
        config: FairQueueConfig,
        drops: DropCounts,
    ) -> None:
        self._flow_of = flow_of
        self._mark = mark
        self._config = config
        self._drops = drops
        self._flows: dict[int, _Flow] = {}
        self._new: deque[_Flow] = deque()
        self._old: deque[_Flow] = deque()
        self._n_packets = 0
        self.octets = 0
        """Octets that wait."""

    def __len__(self) -> int:
        return self._n_packets

    def push(self, packet: bytes, now_s: float) -> None:
        """Put a packet into the queue of its flow; where that is too much, the longest queue loses its oldest."""
        index = self._flow_of(packet) % N_FLOWS
        flow = self._flows.get(index)
        if flow is None:
            flow = self._flows[index] = _Flow(Codel(self._config.codel))
        flow.packets.append(_Waiting(packet, now_s))
        flow.octets += len(packet)
        self._n_packets += 1
        self.octets += len(packet)
        if not flow.is_listed:
            flow.is_listed = True
            flow.deficit = self._config.quantum_octets
            self._new.append(flow)
        while self._n_packets > self._config.max_packets or self.octets > self._config.max_octets:
            self._take(max(self._flows.values(), key=lambda one: one.octets))
            self._drops.overflow += 1

    def pop(self, now_s: float) -> bytes | None:
        """The packet to send now; None where nothing is left (RFC 8290 4.2)."""
        while self._new or self._old:
            is_new = bool(self._new)
            flow = self._new[0] if is_new else self._old[0]
            if flow.deficit <= 0:
                flow.deficit += self._config.quantum_octets
                self._to_old(is_new=is_new)
                continue
            packet = self._pop_from(flow, now_s)
            if packet is not None:
                flow.deficit -= len(packet)
                return packet
            if is_new and self._old:
                self._to_old(is_new=True)
            else:
                (self._new if is_new else self._old).popleft()
                flow.is_listed = False
        return None

    def _to_old(self, *, is_new: bool) -> None:
        self._old.append((self._new if is_new else self._old).popleft())

    def _pop_from(self, flow: _Flow, now_s: float) -> bytes | None:
        """The next packet of a flow that CoDel lets go on."""
        while flow.packets:
            waiting = self._take(flow)
            if not flow.codel.must_drop(now_s - waiting.since_s, flow.octets, now_s):
                return waiting.packet
            if (marked := self._mark(waiting.packet)) is not None:
                self._drops.marked += 1
                return marked
            self._drops.early += 1
        flow.codel.note_empty()
        return None

    def _take(self, flow: _Flow) -> _Waiting:
        waiting = flow.packets.popleft()
        flow.octets -= len(waiting.packet)
        self._n_packets -= 1
        self.octets -= len(waiting.packet)
        return waiting
