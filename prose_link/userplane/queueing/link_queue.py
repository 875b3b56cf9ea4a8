"""What waits for one link: a fair queue for each priority."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from prose_link.userplane.queueing.fair_queue import DropCounts, FairQueue, FairQueueConfig
from prose_link.userplane.queueing.ip_header import dscp, flow_hash, with_congestion_mark
from prose_link.userplane.queueing.priorities import PRIORITIES, PriorityRule


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """How a UE's links queue."""

    rule: PriorityRule = field(default_factory=PriorityRule)
    fair_queue: FairQueueConfig = field(default_factory=FairQueueConfig)
    perturbation: bytes = b""
    """Of the hash that tells flows apart; drawn anew by each UE."""


class LinkQueue:
    """Packets of one link; bounded, as each of its priorities is."""

    def __init__(self, settings: QueueSettings) -> None:
        self._rule = settings.rule
        self._drops = DropCounts()

        def flow_of(packet: bytes) -> int:
            return flow_hash(packet, settings.perturbation)

        self._queues = {
            pppp: FairQueue(flow_of, with_congestion_mark, settings.fair_queue, self._drops) for pppp in PRIORITIES
        }

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    @property
    def waiting(self) -> list[int]:
        """The priorities with packets, most urgent first."""
        return [pppp for pppp, queue in self._queues.items() if queue]

    def octets(self, pppp: int) -> int:
        """Octets that wait with a priority."""
        return self._queues[pppp].octets

    def push(self, packet: bytes, now_s: float) -> None:
        """Put a packet into the queue of its priority and flow; what is too much is dropped, and counted."""
        self._queues[self._rule.pppp(dscp(packet))].push(packet, now_s)

    def pop(self, pppp: int, now_s: float) -> bytes | None:
        """The next packet of a priority; None where nothing is left of it."""
        return self._queues[pppp].pop(now_s)

    def take_drops(self) -> DropCounts:
        """What was dropped and marked since the last call."""
        taken = replace(self._drops)
        self._drops.early = self._drops.overflow = self._drops.marked = 0
        return taken
