"""The user plane of one UE: an end of IP for each link, and the traffic the UE was told to make over it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from prose_link.pc5s.core.events import LinkEstablished
from prose_link.userplane.addresses import IpAddresses, peer_addresses
from prose_link.userplane.endpoint import IpEndpoint
from prose_link.userplane.packet_end import PacketEnd
from prose_link.userplane.traffic_plan import TrafficPlan
from prose_link.userplane.traffic_script import TrafficScript
from prose_link.userplane.tun import TunInterface


@dataclass(frozen=True, slots=True, kw_only=True)
class IpConfigured:
    """The addresses of a link as its DCR and DCA settled them; IPv4 only where both ends offered it."""

    peer: str
    link_local: IPv6Address
    peer_link_local: IPv6Address
    ipv4: IPv4Address | None
    peer_ipv4: IPv4Address | None
    interface: str


@dataclass(slots=True, kw_only=True)
class _Session:
    peer: str
    end: PacketEnd
    script: TrafficScript | None


class UserPlane:
    """The ends of a UE's links by the peer's layer-2 id; at most one end a peer.

    Args:
        own: the UE's addresses.
        plan: what to do over the link with a peer, where packets come from the in-process endpoint.
        content: the octets to push, or more.
        transfer_id: names this UE's pushes.
        utc_at_power_on_s: UTC at the moment that `now_s` counts from.
        tun: the interface that programs use; None for an in-process endpoint a link.
    """

    def __init__(
        self,
        own: IpAddresses,
        plan: Callable[[str], TrafficPlan],
        content: bytes,
        *,
        transfer_id: int,
        utc_at_power_on_s: float,
        tun: TunInterface | None = None,
    ) -> None:
        self.own = own
        self._plan = plan
        self._content = content
        self._transfer_id = transfer_id
        self._utc_at_power_on_s = utc_at_power_on_s
        self._tun = tun
        self._sessions: dict[int, _Session] = {}
        self._events: deque[tuple[str, object]] = deque()

    @property
    def peers(self) -> tuple[int, ...]:
        """Layer-2 ids of the peers with a link that carries IP."""
        return tuple(self._sessions)

    def open(self, link: LinkEstablished, now_s: float) -> None:
        """A link stands: give it its end and start what was planned for it."""
        self.drop(link.peer_l2, now_s)
        ipv4 = self.own.ipv4 is not None and 4 in link.ip_versions
        addresses = peer_addresses(link.peer_l2, link.peer_link_local, ipv4=ipv4)
        if self._tun is None:
            endpoint = IpEndpoint(self.own.link_local, addresses.link_local, self._utc_at_power_on_s)
            plan = self._plan(link.peer)
            script = TrafficScript(plan, endpoint, self._content[: plan.push_octets], self._transfer_id)
            script.start(now_s)
            self._sessions[link.peer_l2] = _Session(peer=link.peer, end=endpoint, script=script)
        else:
            end = self._tun.attach(link.peer_l2, addresses)
            self._sessions[link.peer_l2] = _Session(peer=link.peer, end=end, script=None)
        self._events.append((link.peer, self._configured(link.peer, addresses)))

    def drop(self, peer_l2: int, now_s: float) -> None:
        """The link with a peer is over."""
        session = self._sessions.get(peer_l2)
        if session is not None:
            session.end.close(now_s)
            self._gather(session, now_s)
            del self._sessions[peer_l2]

    def close(self, now_s: float) -> None:
        """The UE is switched off: no link, no interface."""
        if self._tun is not None:
            self._tun.close()
        for peer_l2 in self.peers:
            self.drop(peer_l2, now_s)

    def receive(self, peer_l2: int, packet: bytes, now_s: float) -> None:
        """Take one IP packet of a peer's; without a link it is dropped."""
        session = self._sessions.get(peer_l2)
        if session is not None:
            session.end.receive(packet, now_s)

    def packets_to_send(self, peer_l2: int, room: int, now_s: float) -> list[bytes]:
        """Up to `room` IP packets for a peer."""
        return self._sessions[peer_l2].end.packets_to_send(room, now_s)

    def events(self, now_s: float) -> Iterator[tuple[str, object]]:
        """What has happened since the last call, each with the peer's identity; scripts go on from it."""
        for session in tuple(self._sessions.values()):
            self._gather(session, now_s)
        while self._events:
            yield self._events.popleft()

    def _gather(self, session: _Session, now_s: float) -> None:
        while (event := session.end.next_event()) is not None:
            self._events.append((session.peer, event))
            done = session.script.take(event, now_s) if session.script else None
            if done is not None:
                self._events.append((session.peer, done))

    def _configured(self, peer: str, addresses: IpAddresses) -> IpConfigured:
        return IpConfigured(
            peer=peer,
            link_local=self.own.link_local,
            peer_link_local=addresses.link_local,
            ipv4=self.own.ipv4 if addresses.ipv4 else None,
            peer_ipv4=addresses.ipv4,
            interface=self._tun.name if self._tun else "",
        )
