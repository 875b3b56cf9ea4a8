"""The port of every protocol entity: PDUs and time in, PDUs, deadlines and events out; no sockets and no clock.

An entity decides; its owner moves octets and reads the clock. The owner calls, in any order and as often as it likes:

* `receive` with each PDU that has come, in the order of arrival;
* `handle_timer` at the time that `next_timer` returned; an early call does nothing;
* `pdus_to_send` for the PDUs and orders to the layer below, and `next_event` until it returns None, after each of
  these.

Time is always passed in, as an `Instant`: deadlines are on its monotonic clock, dates in messages on its calendar. So
an entity behaves alike in virtual and in real time, and repeats itself from the same inputs and the same seed.

Rules for every entity: input from a peer never raises out of `receive`, it becomes an event; every queue is bounded;
`next_timer` changes nothing; `pdus_to_send` and `next_event` return each item once.

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
    """A protocol entity, generic in the types of its inputs, its outputs and its events."""

    def receive(self, pdu: _In, now: Instant, /) -> None:
        """Process one PDU, or one indication of the layer below. Never raises because of a peer's input."""

    def pdus_to_send(self, now: Instant, /) -> Sequence[_Out]:
        """Return the PDUs or orders for the layer below, in order, each once."""

    def next_timer(self) -> float | None:
        """The monotonic time (s) at which `handle_timer` is due, None if nothing runs. Changes nothing."""

    def handle_timer(self, now: Instant, /) -> None:
        """Do all work that is due."""

    def next_event(self) -> _Event | None:
        """Return the oldest event; None if there is none."""
