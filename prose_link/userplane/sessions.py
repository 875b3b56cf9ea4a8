"""The user plane of one UE: an end of IP for each link, and the planned traffic over it.

When a link is established the user plane opens an end for it: a share of the TUN interface, or an in-process endpoint
with a script of pings, transfers and voice. The end stays until the link is over. Packets are passed by the peer's
layer-2 id. An event of an endpoint may let its script continue, so the user plane asks for a call of `handle_timer`
after every packet, and gathers the events of all ends there. Rekeys don't concern it: the context is chosen below.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from prose_link.instant import Instant
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.userplane.addresses import IpAddresses, peer_addresses
from prose_link.userplane.endpoint import IpEndpoint
from prose_link.userplane.events import IpConfigured, UserPlaneEvent
from prose_link.userplane.packet_end import PACKETS_AT_ONCE, PacketEnd, PeerPacket
from prose_link.userplane.packet_interface import PacketInterface
from prose_link.userplane.traffic_plan import TrafficPlan
from prose_link.userplane.traffic_script import TrafficScript


@dataclass(slots=True, kw_only=True)
class _Session:
    peer: str
    end: PacketEnd
    script: TrafficScript | None


class UserPlane:
    """The ends of a UE's links by the peer's layer-2 id; at most one end a peer. A `SansIoEntity`.

    After packets went up or down, `handle_timer` lets the scripts go on from what came of it.

    Args:
        own: the UE's addresses.
        plan: what to do over the link with a peer, where packets come from the in-process endpoint.
        content: the octets to push, or more.
        transfer_id: names this UE's pushes.
        utc_at_power_on_s: UTC at the moment that `Instant.mono_s` counts from.
        interface: what programs send and receive by; None for an in-process endpoint a link.
    """

    def __init__(
        self,
        own: IpAddresses,
        plan: Callable[[str], TrafficPlan],
        content: bytes,
        *,
        transfer_id: int,
        utc_at_power_on_s: float,
        interface: PacketInterface | None = None,
    ) -> None:
        self.own = own
        self._plan = plan
        self._content = content
        self._transfer_id = transfer_id
        self._utc_at_power_on_s = utc_at_power_on_s
        self._interface = interface
        self._sessions: dict[int, _Session] = {}
        self._events: deque[tuple[str, UserPlaneEvent]] = deque()
        self._untold_since_s: float | None = None
        """Time since which an end may have an event that `handle_timer` has not seen yet."""

    @property
    def peers(self) -> tuple[int, ...]:
        """Layer-2 ids of the peers with a link that carries IP."""
        return tuple(self._sessions)

    def open(self, link: LinkEstablished, now: Instant) -> None:
        """A link is established: make its end and start the planned traffic."""
        self.drop(link.peer_l2, now)
        ipv4 = self.own.ipv4 is not None and 4 in link.ip_versions
        addresses = peer_addresses(link.peer_l2, link.peer_link_local, ipv4=ipv4)
        if self._interface is None:
            endpoint = IpEndpoint(self.own.link_local, addresses.link_local, self._utc_at_power_on_s)
            plan = self._plan(link.peer)
            script = TrafficScript(plan, endpoint, self._content[: plan.push_octets], self._transfer_id)
            script.start(now)
            self._sessions[link.peer_l2] = _Session(peer=link.peer, end=endpoint, script=script)
        else:
            end = self._interface.attach(link.peer_l2, addresses)
            self._sessions[link.peer_l2] = _Session(peer=link.peer, end=end, script=None)
        self._events.append((link.peer, self._configured(link.peer, addresses)))

    def drop(self, peer_l2: int, now: Instant) -> None:
        """The link with a peer is over."""
        session = self._sessions.get(peer_l2)
        if session is not None:
            session.end.close(now)
            self._gather(session, now)
            del self._sessions[peer_l2]

    def close(self, now: Instant) -> None:
        """The UE is switched off: no link, no interface."""
        if self._interface is not None:
            self._interface.close()
        for peer_l2 in self.peers:
            self.drop(peer_l2, now)

    def receive(self, packet: PeerPacket, now: Instant) -> None:
        """Take one IP packet of a peer's; without a link it is dropped."""
        session = self._sessions.get(packet.peer_l2)
        if session is not None:
            session.end.receive(packet.data, now)
            self._untold_since_s = now.mono_s

    def pdus_to_send(
        self, now: Instant, /, *, peers: Collection[int] | None = None, room: int = PACKETS_AT_ONCE
    ) -> list[PeerPacket]:
        """Hand out IP packets for each of these peers, for all where none are named; `room` as `PacketEnd` has it."""
        packets: list[PeerPacket] = []
        for peer_l2 in self.peers:
            if peers is None or peer_l2 in peers:
                end = self._sessions[peer_l2].end
                packets += [PeerPacket(peer_l2=peer_l2, data=data) for data in end.pdus_to_send(now, room=room)]
        if packets:
            self._untold_since_s = now.mono_s
        return packets

    def held_back_octets(self, peer_l2: int) -> int:
        """Octets that the end of a link will make as soon as there is room for them."""
        return self._sessions[peer_l2].end.held_back_octets

    def next_timer(self) -> float | None:
        """When an end has something due, or has something to tell that its script is to go on from."""
        deadlines = [session.end.next_timer() for session in self._sessions.values()]
        deadlines.append(self._untold_since_s)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def handle_timer(self, now: Instant) -> None:
        """Do the work due at each end, and let the scripts continue after the events of the ends."""
        for session in tuple(self._sessions.values()):
            session.end.handle_timer(now)
            self._gather(session, now)
        self._untold_since_s = None

    def next_event(self) -> tuple[str, UserPlaneEvent] | None:
        """Hand out what has happened, with the peer's identity; None if there is nothing."""
        return self._events.popleft() if self._events else None

    def _gather(self, session: _Session, now: Instant) -> None:
        while (event := session.end.next_event()) is not None:
            self._events.append((session.peer, event))
            done = session.script.take(event, now) if session.script else None
            if done is not None:
                self._events.append((session.peer, done))

    def _configured(self, peer: str, addresses: IpAddresses) -> IpConfigured:
        return IpConfigured(
            peer=peer,
            link_local=self.own.link_local,
            peer_link_local=addresses.link_local,
            ipv4=self.own.ipv4 if addresses.ipv4 else None,
            peer_ipv4=addresses.ipv4,
            interface=self._interface.name if self._interface else "",
        )
