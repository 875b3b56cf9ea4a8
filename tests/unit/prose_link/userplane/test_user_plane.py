"""The user plane of a UE: ends by link, addresses as the link's signalling told them, a script with voice."""

from ipaddress import IPv6Address

from prose_link.instant import Instant
from prose_link.pc5s.core.events import LinkEstablished
from prose_link.userplane.addresses import own_addresses, peer_addresses
from prose_link.userplane.events import IpConfigured, TrafficDone, VoiceReceived
from prose_link.userplane.packet_end import PeerPacket
from prose_link.userplane.sessions import UserPlane
from prose_link.userplane.traffic_plan import TrafficPlan

L2_A, L2_B = 0x5C1A01, 0x5C1B02


def at(mono_s: float) -> Instant:
    """A moment of virtual time."""
    return Instant(mono_s, 1e9 + mono_s)


def events(plane: UserPlane, mono_s: float) -> list[tuple[str, object]]:
    """What a user plane tells by a moment."""
    plane.handle_timer(at(mono_s))
    told: list[tuple[str, object]] = []
    while (event := plane.next_event()) is not None:
        told.append(event)
    return told


def plane(l2_id: int, traffic: TrafficPlan) -> UserPlane:
    own = own_addresses(l2_id, ipv4=False)
    return UserPlane(own, lambda _: traffic, bytes(range(256)) * 10, transfer_id=l2_id & 0xFFFF, utc_at_power_on_s=1e9)


def link(peer_l2: int, link_local: bytes | None) -> LinkEstablished:
    return LinkEstablished(
        peer=f"tel:+{peer_l2}",
        peer_l2=peer_l2,
        kd_sess_id=0x0101,
        initiator=True,
        mutual=True,
        eea=2,
        eia=2,
        null_algorithm=False,
        peer_link_local=link_local,
        ip_versions=frozenset({6}),
    )


def run(a: UserPlane, b: UserPlane, *, for_s: float, latency_s: float = 0.025) -> tuple[list[object], list[object]]:
    """Carry packets both ways with a fixed latency; returns both ends' events."""
    told: tuple[list[object], list[object]] = ([], [])
    in_flight: list[tuple[float, UserPlane, int, bytes]] = []
    for step in range(round(for_s * 1000)):
        now_s = step / 1000
        for at_s, to, src, packet in [flight for flight in in_flight if flight[0] <= now_s]:
            to.receive(PeerPacket(peer_l2=src, data=packet), at(now_s))
            in_flight.remove((at_s, to, src, packet))
        for here, there, own_l2, peer_l2 in ((a, b, L2_A, L2_B), (b, a, L2_B, L2_A)):
            out = here.pdus_to_send(at(now_s), peers=[peer_l2], room=4)
            in_flight += [(now_s + latency_s, there, own_l2, packet.data) for packet in out]
        told[0].extend(event for _, event in events(a, now_s))
        told[1].extend(event for _, event in events(b, now_s))
    return told


def test_pings_pushes_then_voice_both_ways() -> None:
    a = plane(L2_A, TrafficPlan(pings=3, push_octets=2560, voice_s=1.0))
    b = plane(L2_B, TrafficPlan(push_octets=2560, voice_s=1.0))
    a.open(link(L2_B, b.own.link_local.packed), at(0.0))
    b.open(link(L2_A, a.own.link_local.packed), at(0.0))
    for told in run(a, b, for_s=4.0):
        heard = [event for event in told if isinstance(event, VoiceReceived)]
        assert [(v.sent, v.received, v.latency_p50_ms) for v in heard] == [(50, 50, 25.0)]
        done = [event for event in told if isinstance(event, TrafficDone)]
        assert [d.ok for d in done] == [True] and told.index(done[0]) > told.index(heard[0])


def test_voice_alone() -> None:
    a, b = plane(L2_A, TrafficPlan(voice_s=0.5)), plane(L2_B, TrafficPlan(voice_s=0.5))
    a.open(link(L2_B, b.own.link_local.packed), at(0.0))
    b.open(link(L2_A, a.own.link_local.packed), at(0.0))
    for told in run(a, b, for_s=1.0):
        assert [event.ok for event in told if isinstance(event, TrafficDone)] == [True]


def test_a_call_cut_short_is_told() -> None:
    a, b = plane(L2_A, TrafficPlan(voice_s=10.0)), plane(L2_B, TrafficPlan(voice_s=10.0))
    a.open(link(L2_B, b.own.link_local.packed), at(0.0))
    b.open(link(L2_A, a.own.link_local.packed), at(0.0))
    run(a, b, for_s=1.0)
    b.drop(L2_A, at(1.0))
    heard = [event for _, event in events(b, 1.0) if isinstance(event, VoiceReceived)]
    assert b.peers == () and heard[0].sent == 500 and 40 < heard[0].received < 50


def test_the_peers_address_is_the_one_it_told() -> None:
    a = plane(L2_A, TrafficPlan())
    told = IPv6Address("fe80::cafe")
    a.open(link(L2_B, told.packed), at(0.0))
    ((_, configured),) = events(a, 0.0)
    assert isinstance(configured, IpConfigured)
    assert configured.peer_link_local == told and configured.link_local == own_addresses(L2_A, ipv4=False).link_local


def test_an_address_that_is_missing_or_not_link_local_is_formed() -> None:
    formed = own_addresses(L2_B, ipv4=True)
    assert peer_addresses(L2_B, None, ipv4=True) == formed
    assert peer_addresses(L2_B, IPv6Address("2001:db8::1").packed, ipv4=True) == formed
    assert peer_addresses(L2_B, IPv6Address("ff02::1").packed, ipv4=True) == formed
    assert str(formed.ipv4) == "10.92.27.2" and str(formed.link_local) == "fe80::200:ff:fe5c:1b02"


def test_packets_of_nobody_are_dropped() -> None:
    a = plane(L2_A, TrafficPlan())
    a.receive(PeerPacket(peer_l2=L2_B, data=b"\x60" + bytes(60)), at(0.0))
    assert list(events(a, 0.0)) == []
