"""Every protocol entity has the one shape: the same calls, time as `Instant`, queries that change nothing."""

import inspect
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np
import pytest

from prose_link.discovery.entity import DiscoveryEntity
from prose_link.discovery.filters import DiscoveryConfig
from prose_link.discovery.messages import GroupMemberAnnouncement
from prose_link.entity_protocol import SansIoEntity
from prose_link.instant import Instant
from prose_link.pc5s.entity import Pc5sEntity
from prose_link.pc5s.groups.groups import Groups
from prose_link.pc5s.wire.pdus import ReceivedPdu
from prose_link.sip.user_agent import UserAgent
from prose_link.sync.entity import SyncEntity, SyncTimes
from prose_link.sync.rules import SyncParameters
from prose_link.userplane.addresses import own_addresses, peer_addresses
from prose_link.userplane.endpoint import IpEndpoint
from prose_link.userplane.group_messages import GroupEndpoint
from prose_link.userplane.packet_end import PeerPacket
from prose_link.userplane.sessions import UserPlane
from prose_link.userplane.traffic_plan import TrafficPlan
from prose_link.userplane.tun import TunEnd
from radio.phy.lte.channels.indications import SyncLost
from tests.benches.pc5s_bench import L2, A, Air, B, Ue, at, via_of
from tests.unit.prose_link.userplane.test_user_plane import link

CALLS = ("receive", "pdus_to_send", "next_timer", "handle_timer", "next_event")
ENTITIES = (Pc5sEntity, Groups, DiscoveryEntity, SyncEntity, UserPlane, IpEndpoint, TunEnd, GroupEndpoint, UserAgent)


@dataclass
class Case:
    """An entity with something to do, what it may be handed, and from when on."""

    entity: Any
    pdu: Any
    start: Instant

    def at(self, after_s: float) -> Instant:
        return Instant(self.start.mono_s + after_s, self.start.utc_s + after_s)


def pc5s() -> Case:
    a, b = Ue(A), Ue(B)
    air = Air(a, b)
    a.entity.connect(at(B, L2[B]), air.now)
    return Case(
        a.entity,
        ReceivedPdu(data=b"\x01\xff", src_l2=L2[B], dst_l2=L2[A], lcid=28, via=via_of("direct", L2[B])),
        air.now,
    )


def groups() -> Case:
    case = pc5s()
    return Case(case.entity.groups, case.pdu, case.start)


def discovery() -> Case:
    entity = DiscoveryEntity(DiscoveryConfig(user_info_id=1, prose_ue_id=2), np.random.default_rng(1))
    entity.announce(GroupMemberAnnouncement(user_info_id=1, prose_ue_id=2, discovery_group_id=3))
    start = Instant(5.0, 1e9)
    entity.open_period(20, start)
    return Case(entity, bytes(29), start)


def sync() -> Case:
    entity = SyncEntity(
        SyncParameters(offset_indicators=(0, 1)),
        SyncTimes(),
        np.random.default_rng(1),
        n_prb=25,
        rx_reference_dbm=-30.0,
        sample_rate_hz=7_680_000,
    )
    for step in range(400):
        entity.handle_timer(Instant(step * 0.01, 1e9))
    return Case(entity, SyncLost(subframe=1, n_sl_id=3), Instant(4.0, 1e9))


def user_plane() -> Case:
    own, peer = own_addresses(0x5C1A01, ipv4=False), peer_addresses(0x5C1B02, None, ipv4=False)
    plane = UserPlane(own, lambda _: TrafficPlan(pings=2), b"", transfer_id=1, utc_at_power_on_s=1e9)
    plane.open(link(0x5C1B02, peer.link_local.packed), Instant(0.0, 1e9))
    return Case(plane, PeerPacket(peer_l2=0x5C1B02, data=b"\x60\x00"), Instant(0.0, 1e9))


def endpoint() -> Case:
    own, peer = own_addresses(0x5C1A01, ipv4=False), peer_addresses(0x5C1B02, None, ipv4=False)
    end = IpEndpoint(own.link_local, peer.link_local)
    end.ping(1, Instant(0.0, 1e9))
    return Case(end, b"\x60\x00", Instant(0.0, 1e9))


def group_endpoint() -> Case:
    own = own_addresses(0x5C1A01, ipv4=False)
    end = GroupEndpoint(own.link_local, own.link_local, copies=2, every_s=0.1)
    end.say(b"hello", Instant(0.0, 1e9))
    return Case(end, PeerPacket(peer_l2=1, data=b"\x60\x00"), Instant(0.0, 1e9))


CASES = (pc5s, discovery, sync, user_plane, endpoint, group_endpoint)
every_case = pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)


def drained(entity: Any) -> list[object]:
    told = []
    while (event := entity.next_event()) is not None:
        told.append(event)
    return told


@pytest.mark.parametrize("kind", ENTITIES)
@pytest.mark.parametrize("call", CALLS)
def test_calls_have_the_protocols_parameters(kind, call):
    """The same positional parameters; what an entity has beyond them has a default."""
    if kind is Groups and call in ("pdus_to_send", "next_event"):
        pytest.skip("groups hand out by the PC5-S entity that they are part of")
    wanted = list(inspect.signature(getattr(SansIoEntity, call)).parameters.values())
    found = list(inspect.signature(getattr(kind, call)).parameters.values())
    assert len(found) >= len(wanted)
    assert all(one.default is not inspect.Parameter.empty for one in found[len(wanted) :])
    hints = get_type_hints(getattr(kind, call))
    if len(wanted) > 1:
        assert hints[found[len(wanted) - 1].name] is Instant
    assert not any(name.endswith("now_s") for name in hints)


@every_case
def test_asking_changes_nothing(make):
    case = make()
    assert case.entity.next_timer() == case.entity.next_timer()
    assert list(case.entity.pdus_to_send(case.start)) or case.entity.next_timer() is not None


@every_case
def test_each_thing_is_handed_out_once(make):
    case = make()
    case.entity.pdus_to_send(case.start)
    assert list(case.entity.pdus_to_send(case.start)) == []
    drained(case.entity)
    assert case.entity.next_event() is None


@every_case
def test_an_early_call_does_nothing(make):
    case = make()
    case.entity.pdus_to_send(case.start)
    case.entity.handle_timer(case.start)
    case.entity.pdus_to_send(case.start)
    drained(case.entity)
    due_s = case.entity.next_timer()
    assert due_s is None or due_s > case.start.mono_s
    case.entity.handle_timer(case.start)
    assert list(case.entity.pdus_to_send(case.start)) == [] and drained(case.entity) == []


@every_case
def test_the_timer_it_names_does_something(make):
    """Something is sent, told, or put off: a deadline that has passed is no deadline any more."""
    case = make()
    for _ in range(50):
        case.entity.pdus_to_send(case.start)
        drained(case.entity)
        due_s = case.entity.next_timer()
        if due_s is None:
            return
        now = case.at(max(0.0, due_s - case.start.mono_s))
        case.entity.handle_timer(now)
        done = [*case.entity.pdus_to_send(now), *drained(case.entity)]
        after_s = case.entity.next_timer()
        assert done or after_s is None or after_s > due_s


@every_case
def test_what_a_peer_sends_never_raises(make):
    case = make()
    for _ in range(3):
        case.entity.receive(case.pdu, case.start)
    case.entity.handle_timer(case.start)
    drained(case.entity)
