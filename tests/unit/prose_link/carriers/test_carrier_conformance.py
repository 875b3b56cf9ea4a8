"""The rules for every carrier, whatever transports its PDUs: `Carrier` and `CarrierKind`, one suite for all of them."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from prose_link.carriers.ims.carrier import ImsCarrier
from prose_link.carriers.ims.envelope import cut, join
from prose_link.carriers.ims.options import ImsOptions
from prose_link.carriers.protocol import MAX_WAITING, Carried, Carrier
from prose_link.carriers.proxy.carrier import ProxyCarrier, ProxyOptions
from prose_link.carriers.registry import OWN_CARRIERS
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.party import CarrierError, CarrierTraits, Party
from radio.l2.blocks import AddressPair
from radio.l2.pdcp import OneToOnePdu, SduType, encode_one_to_one
from radio.l2.pdcp_entity import PdcpPdu
from tests.benches.carrier_bench import (
    L2_A,
    L2_B,
    L2_PROXY,
    OWN_KINDS,
    STRANGER,
    A,
    B,
    World,
    direct,
    heard,
    parts,
    wired,
)
from tests.doubles.udp_carrier import UdpCarrier, UdpOptions
from tests.doubles.wire_access import carry
from tests.samples import pc5s_messages as samples


def proxy(*, relay_data: bool = False) -> World:
    ends = {l2_id: wired(l2_id) for l2_id in (L2_A, L2_B, L2_PROXY)}
    behind = ProxyOptions(proxies=(L2_PROXY,), relay_data=relay_data)
    a, b = (ProxyCarrier(behind, parts(l2_id, ends[l2_id][1])) for l2_id in (L2_A, L2_B))
    ProxyCarrier(ProxyOptions(serve=True, relay_data=relay_data), parts(L2_PROXY, ends[L2_PROXY][1]))
    return World(a, b, lambda: carry(ends), lambda octets: ends[L2_B][1].heard(heard(octets)))


def proxy_with_links() -> World:
    return proxy(relay_data=True)


def udp() -> World:
    b = UdpCarrier(UdpOptions(), parts(L2_B, wired(L2_B)[1]))
    a = UdpCarrier(UdpOptions(peers={B: b.port}), parts(L2_A, wired(L2_A)[1]))

    def garble(octets: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anybody:
            anybody.sendto(octets, ("127.0.0.1", b.port))

    return World(a, b, garble=garble)


def ims() -> World:
    b = ImsCarrier(ImsOptions(peers={A: "sip:127.0.0.1:9"}), parts(L2_B, wired(L2_B)[1], B))
    a = ImsCarrier(ImsOptions(peers={B: f"sip:127.0.0.1:{b.port}"}), parts(L2_A, wired(L2_A)[1]))

    def pump() -> None:
        for _ in range(40):
            a.poll()
            b.poll()
            time.sleep(0.001)

    def garble(octets: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anybody:
            anybody.sendto(octets, ("127.0.0.1", b.port))

    return World(a, b, pump, garble, with_i_message(REQUEST), with_i_message(ACCEPT))


REQUEST, ACCEPT = (encode(one) for one in (samples.REQUEST, samples.ACCEPT))


def with_i_message(message: bytes) -> Callable[[bytes], bytes]:
    """A message of the table whose I_MESSAGE ends with the octets that it is called with."""
    rest, _ = cut(message)
    return lambda tail: join(rest, b"I" + tail)


@pytest.fixture(params=[direct, proxy, proxy_with_links, udp, ims], ids=lambda make: make.__name__)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made: World = request.param()
    yield made
    made.a.close()
    made.b.close()


def plain(message: bytes, src_l2: int = L2_A, dst_l2: int = L2_B) -> PdcpPdu:
    data = encode_one_to_one(OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=message))
    return PdcpPdu(src_l2=src_l2, dst_l2=dst_l2, lcid=28, to_group=False, data=data)


def party_b(world: World) -> Party:
    found = world.a.reaches(B, L2_B)
    assert found is not None
    return found


def send(world: World, pdu: PdcpPdu) -> None:
    to = party_b(world).via
    world.a.check_room(to, AddressPair(pdu.src_l2, pdu.dst_l2), pdu.lcid, len(pdu.data))
    world.a.send(pdu, to)


def arrived(world: World) -> list[Carried]:
    world.pump()
    return world.b.receive()


def test_it_is_a_carrier_with_traits_that_stay(world: World) -> None:
    assert isinstance(world.a, Carrier)
    assert isinstance(world.a.traits, CarrierTraits)
    assert world.a.name == world.a.traits.name == world.b.traits.name
    assert world.a.traits == world.a.traits


def test_it_says_whom_it_reaches_and_by_which_way(world: World) -> None:
    found = party_b(world)
    assert found.identity == B and found.l2_id == L2_B and found.via.traits == world.a.traits
    assert hash(found.via) == hash(party_b(world).via) and found == party_b(world)
    assert world.a.reaches(STRANGER, None) is None


def test_a_message_arrives_whole_and_its_answer_goes_back_by_its_via(world: World) -> None:
    request, answer = plain(world.request(b"request")), plain(world.answer(b"answer"), L2_B, L2_A)
    send(world, request)
    (came,) = arrived(world)
    assert came.pdu.data == request.data and came.pdu.lcid == 28 and not came.pdu.to_group
    assert came.pdu.dst_l2 == L2_B and came.via.traits == world.b.traits
    if world.b.traits.addresses_count:
        assert came.pdu.src_l2 == L2_A
    try:
        world.b.check_room(came.via, AddressPair(L2_B, L2_A), 28, len(answer.data))
        world.b.send(answer, came.via)
    finally:
        world.pump()
    assert [one.pdu.data for one in world.a.receive()] == [answer.data]
    assert world.b.receive() == [], "each PDU is given once"


def test_order_is_kept(world: World) -> None:
    messages = [world.request(bytes([n])) for n in range(8)]
    for message in messages:
        send(world, plain(message))
    assert [one.pdu.data[5:] for one in arrived(world)] == messages


def test_one_sender_has_one_bucket(world: World) -> None:
    for n in range(2):
        send(world, plain(world.request(bytes([n]))))
    first, second = arrived(world)
    assert first.via.bucket == second.via.bucket and first.via.bucket[0] == world.b.name


def test_the_longest_message_that_its_traits_name_goes_through(world: World) -> None:
    message = world.request(bytes(world.a.traits.max_pdu_octets - len(world.request(b""))))
    assert len(message) == world.a.traits.max_pdu_octets
    send(world, plain(message))
    (came,) = arrived(world)
    assert came.pdu.data[5:] == message


def test_sealed_pdus_go_by_what_bears_links_and_by_nothing_else(world: World) -> None:
    sealed = dataclasses.replace(plain(b""), lcid=30, data=b"\x40\x21\x07\x00\x01sealed\x00\x00\x00\x00")
    if world.a.traits.bears_links:
        send(world, sealed)
        (came,) = arrived(world)
        assert came.pdu.data == sealed.data and came.pdu.lcid == 30
        return
    to = party_b(world).via
    with pytest.raises(CarrierError, match="LCID"):
        world.a.check_room(to, AddressPair(L2_A, L2_B), 30, len(sealed.data))
    with pytest.raises(CarrierError, match="LCID"):
        world.a.send(sealed, to)
    assert arrived(world) == []


def test_receive_never_waits_and_gives_a_bounded_number(world: World) -> None:
    began_s = time.monotonic()
    assert world.b.receive() == []
    for n in range(3 * MAX_WAITING):
        world.garble(plain(bytes([1, n & 0xFF])).data if world.b.name != "udp" else bytes(6) + b"\x1c" + bytes(8))
    world.pump()
    assert len(world.b.receive()) <= MAX_WAITING
    assert time.monotonic() - began_s < 5.0


@pytest.mark.parametrize(
    "octets",
    [b"", b"\0", bytes(5), bytes(40), b"\xff" * 30, plain(b"\xf0").data, plain(b"\xf0" + bytes(15)).data, bytes(2000)],
    ids=range(8),
)
def test_nothing_that_anybody_sends_raises(world: World, octets: bytes) -> None:
    world.garble(octets)
    world.pump()
    world.b.receive()
    send(world, plain(world.request(b"after")))
    assert [one.pdu.data[5:] for one in arrived(world)] == [world.request(b"after")]


def test_it_sends_until_its_queue_is_full_and_never_more(world: World) -> None:
    """Whatever the carrier refuses it refuses by CarrierError; what it took is not lost by that."""
    taken = 0
    for n in range(200):
        try:
            send(world, plain(world.request(bytes([n]) + bytes(900))))
        except CarrierError:
            break
        taken = n + 1
    assert taken
    if world.a.name != "udp":
        assert taken < 200
        assert world.a.queued_octets(party_b(world).via) > 0


def test_once_closed_it_sends_and_gives_nothing(world: World) -> None:
    to = party_b(world).via
    send(world, plain(world.request(b"")))
    world.pump()
    for carrier in (world.a, world.b):
        carrier.close()
        carrier.close()
    assert world.b.receive() == []
    with pytest.raises(CarrierError):
        world.a.check_room(to, AddressPair(L2_A, L2_B), 28, 20)
    with pytest.raises(CarrierError):
        world.a.send(plain(b"\x01"), to)


def test_the_suite_knows_every_kind() -> None:
    assert OWN_CARRIERS == OWN_KINDS


def test_a_proxy_takes_relay_frames_out_and_leaves_the_rest_to_direct_radio() -> None:
    _, below = wired(L2_B)
    ProxyCarrier(ProxyOptions(), parts(L2_B, below))
    below.heard(heard(plain(b"\xf0" + bytes(20)).data))
    below.heard(heard(plain(b"\x01request").data))
    below.heard(heard(b"\x40\x21\x07\x00\x01sealed\x00\x00\x00\x00", lcid=30))
    assert [one.pdu.data[5:11] for one in below.receive()] == [b"\x01reque", b"sealed"]


def test_who_serves_nobody_hands_nothing_on() -> None:
    ends = {l2_id: wired(l2_id) for l2_id in (L2_A, L2_B, L2_PROXY)}
    a, b, idle = (
        ProxyCarrier(ProxyOptions(proxies=proxies), parts(l2_id, ends[l2_id][1]))
        for l2_id, proxies in ((L2_A, (L2_PROXY,)), (L2_B, (L2_PROXY,)), (L2_PROXY, ()))
    )
    a.send(plain(b"\x01"), party_b(World(a, b)).via)
    carry(ends)
    assert b.receive() == [] and idle.receive() == [] and idle.counters == {}
    assert idle.reaches(B, L2_B) is None
