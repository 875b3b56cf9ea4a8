"""The one shape of every protocol entity: PDUs and time in, PDUs, deadlines and events out; no sockets and no clock.

An entity decides; its owner moves octets and tells the time. The owner calls, in any order and as often as it likes:

* `receive` with each PDU that has come, in the order of coming;
* `handle_timer` when the time that `next_timer` named has come; a call that is early does nothing;
* `pdus_to_send` for what the layer below is to carry or to do, and `next_event` until it gives None, after either.

Time is always passed in, as an `Instant`: deadlines are on its monotonic clock, dates in messages on its calendar. So
an entity runs alike in virtual and in real time, and repeats itself from the same inputs and the same seed.

What holds for each of them: peer input never raises out of `receive`, it becomes an event; every queue is bounded;
`next_timer` changes nothing; what was handed out by `pdus_to_send` or `next_event` is not handed out again.

Conforming: `pc5s.entity.Pc5sEntity` and within it `groups.groups.Groups`' timers, `discovery.entity.DiscoveryEntity`,
`sync.entity.SyncEntity`, `userplane.sessions.UserPlane`, each `userplane.packet_end.PacketEnd`,
`userplane.group_messages.GroupEndpoint`, and `sip.user_agent.UserAgent`. Layer 2 stands below this package
and is driven by the count of subframes, not by deadlines: its port is `radio.access.protocol.SidelinkAccess`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from prose_link.instant import Instant

_In = TypeVar("_In", contravariant=True)
_Out = TypeVar("_Out", covariant=True)
_Event = TypeVar("_Event", covariant=True)


class SansIoEntity(Protocol[_In, _Out, _Event]):
    """A protocol entity by the types of what it takes, what it hands down, and what it tells its owner."""

    def receive(self, pdu: _In, now: Instant, /) -> None:
        """Take one PDU, or what the layer below has heard. Never raises for what a peer has sent."""

    def pdus_to_send(self, now: Instant, /) -> Sequence[_Out]:
        """Hand out what the layer below is to carry or to do, in order; each thing once."""

    def next_timer(self) -> float | None:
        """The monotonic time (s) at which `handle_timer` is due, None if nothing runs. Changes nothing."""

    def handle_timer(self, now: Instant, /) -> None:
        """Do what is due by now."""

    def next_event(self) -> _Event | None:
        """Hand out the oldest event, None if there is none."""
