"""Whole set-ups over a carrier that the project does not have: a UDP carrier in one file, and no core file knows it.

Below, entity, PDCP and bearers are the real ones, and there is no radio. `test_ues_over_udp.py` does it with whole UEs.
"""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from prose_link.carriers.direct import Direct
from prose_link.carriers.protocol import CarrierParts
from prose_link.instant import Instant
from prose_link.pc5s.core.events import (
    AcceptRefused,
    Dropped,
    LinkEstablished,
    LinkFailed,
    LinkReleased,
    RequestRefused,
)
from prose_link.pc5s.core.policy import LinkPolicy, Policy, Profile
from prose_link.pc5s.wire.messages import Cause, DirectAccept, DirectReject, DirectRequest
from prose_link.pc5s.wire.party import CarrierTraits
from prose_link.pc5s.wire.pdus import ReceivedPdu
from prose_link.ue.bearers import Bearers
from prose_link.ue.events import L2Dropped
from prose_link.ue.link_protector import LinkProtector
from prose_link.ue.pdu_tap import PduTap
from radio.l2.indications import Dropped as L2Drop
from radio.l2.indications import PduReceived
from radio.l2.pdcp import OneToOnePdu, SduType, encode_one_to_one
from radio.l2.pdcp_entity import PdcpEntity
from tests.benches.pc5s_bench import L2, UTC_S, A, B, Ue, at
from tests.doubles.udp_carrier import UdpCarrier, UdpOptions
from tests.doubles.wire_access import WireAccess

MODE = LinkPolicy(profile=Profile.TS24334)
STEP_S = 0.01


class Station:
    """A UE from PDCP upwards, with a radio that hears no UE and a UDP socket."""

    def __init__(self, uri, *, trusted=False, policy=None, now):
        self.ue = Ue(uri, policy=policy)
        self.now = now
        self.seen, self.drops, self.packets = [], [], []
        entity = self.ue.entity
        self.access = WireAccess()
        self.direct = Direct(self.access, self.ue.config.timers.direct)
        parts = CarrierParts(
            identity=uri, l2_id=L2[uri], direct=self.direct, now=now, random_bytes=self.ue.random, emit=self.seen.append
        )
        self.peers = {}
        self.udp = UdpCarrier(UdpOptions(peers=self.peers, trusted=trusted), parts)
        self.protector = LinkProtector(entity.context, lambda command: entity.make_context_from(command, now()))
        self.tap = PduTap(self.seen.append)
        self.pdcp = PdcpEntity(L2[uri], self.protector, observer=self.tap.layer_2)
        self.bearers = Bearers(
            L2[uri],
            self.access,
            self.direct,
            (self.udp,),
            self.pdcp,
            self.protector,
            self.tap,
            entity.may_bring,
            self.drops.append,
        )

    def connect(self, peer, l2_id=None):
        """Call a peer by UDP, whose layer-2 id need not be known."""
        party = self.bearers.reach("udp", peer, l2_id)
        assert party is not None
        self.ue.entity.connect(party, self.now())

    def step(self):
        entity, now = self.ue.entity, self.now()
        for opened in self.bearers.open_others():
            self.take(opened)
        entity.handle_timer(now)
        for pdu in entity.pdus_to_send(now):
            self.bearers.send_signalling(pdu)
        while (event := entity.next_event()) is not None:
            self.ue.events.append(event)

    def take(self, opened):
        sdu, entity = opened.sdu, self.ue.entity
        if isinstance(sdu, L2Drop):
            self.drops.append(sdu)
        elif sdu.sdu_type is SduType.PC5_SIGNALLING:
            entity.receive(
                ReceivedPdu(
                    data=sdu.data,
                    src_l2=sdu.src_l2,
                    dst_l2=sdu.dst_l2,
                    lcid=sdu.lcid,
                    kd_sess_id=sdu.kd_sess_id,
                    via=opened.via,
                ),
                self.now(),
            )
        elif entity.admits_user_data(sdu.src_l2, sdu.kd_sess_id):
            self.packets.append(sdu.data)

    def send_packet(self, peer, packet):
        entity = self.ue.entity
        party = entity.user_data_party(L2[peer])
        assert party is not None and party.via.carrier == "udp"
        self.bearers.send_packet(packet, party, entity.user_data_id(L2[peer]), 1)


class Net:
    """Two stations and virtual time; datagrams on the loopback arrive at once."""

    def __init__(self, **options):
        self.mono_s = 1000.0
        self.stations = {uri: Station(uri, now=self.now, **options) for uri in (A, B)}
        self.a, self.b = self.stations[A], self.stations[B]
        self.a.peers[B], self.b.peers[A] = self.b.udp.port, self.a.udp.port

    def now(self):
        return Instant(self.mono_s, UTC_S + self.mono_s - 1000.0)

    def run(self, for_s, until=lambda: False):
        for _ in range(round(for_s / STEP_S)):
            for station in self.stations.values():
                station.step()
            self.mono_s += STEP_S
            if until():
                return

    def up(self):
        return all(station.ue.of(LinkEstablished) for station in self.stations.values())

    def close(self):
        for station in self.stations.values():
            station.bearers.close()


@pytest.fixture
def net(request):
    made = Net(**getattr(request, "param", {}))
    yield made
    made.close()


def signalling(station, kind):
    """What a station has sent of a message type."""
    return [one for one in station.seen if one.layer == "pc5s" and one.direction == "tx" and one.data[0] == kind.TYPE]


def datagram(octets, port, *, src_l2=0, dst_l2=0, lcid=28):
    """Any sender sends one PC5-S message; returns the socket, to be read."""
    anybody = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    anybody.bind(("127.0.0.1", 0))
    anybody.setblocking(False)
    pdu = encode_one_to_one(OneToOnePdu(sdu_type=SduType.PC5_SIGNALLING, kd_sess_id=0, sn=0, data=octets))
    anybody.sendto(src_l2.to_bytes(3) + dst_l2.to_bytes(3) + bytes([lcid]) + pdu, ("127.0.0.1", port))
    return anybody


def test_a_whole_link_by_udp_without_knowing_a_layer_2_id(net):
    net.a.connect(B)
    net.run(2, net.up)
    assert net.up()
    (link,) = net.a.ue.entity.links
    assert (link.peer_l2, link.via.address) == (L2[B], ("127.0.0.1", net.b.udp.port))
    net.a.send_packet(B, b"to b")
    net.b.send_packet(A, b"to a")
    net.run(0.1)
    assert net.b.packets == [b"to b"] and net.a.packets == [b"to a"]
    net.run(25)
    assert net.a.ue.states() == net.b.ue.states() == ["established"], "keepalives go by it too"
    net.a.ue.entity.rekey(B, net.now(), new_kd=True)
    net.run(2)
    net.a.send_packet(B, b"under new keys")
    net.run(0.1)
    assert net.b.packets[-1] == b"under new keys"
    net.a.ue.entity.release(B, net.now())
    net.run(3)
    assert [event.agreed for event in net.b.ue.of(LinkReleased)] == [True]
    assert net.a.ue.holds_nothing() and net.b.ue.holds_nothing()
    assert not net.a.access.queued and not net.b.access.queued, "nothing went by radio"


def test_captures_say_the_carrier(net):
    net.a.connect(B)
    net.run(2, net.up)
    assert {(one.layer, one.note) for one in net.a.seen} == {
        (layer, "carrier udp") for layer in ("pc5s", "mikey", "pdcp")
    }


@pytest.mark.parametrize("net", [{"policy": MODE}], indirect=True)
def test_ts24334_does_not_let_an_envelope_choose_the_links_layer_2_id(net):
    """Its Request names none: at the one end it isn't sent, at the other a forged envelope makes no link."""
    net.a.connect(B, L2[B])
    net.run(0.1)
    (failed,) = net.a.ue.of(LinkFailed)
    assert "profile ts24334 needs the layer-2 ids of udp" in failed.why
    net.a.ue.entity.connect(at(B, L2[B]), net.now())
    net.run(0.3)
    (request, *_) = net.a.access.queued
    with datagram(request.data[5:], net.b.udp.port, src_l2=0x0E0005):
        net.run(0.1)
    (refused,) = net.b.ue.of(RequestRefused)
    assert refused.step == 2 and "layer-2 ids do not count" in refused.why
    assert not net.b.ue.entity.links and not signalling(net.b, DirectReject)


@pytest.mark.parametrize("net", [{"policy": MODE, "trusted": True}], indirect=True)
def test_ts24334_sets_up_by_udp_where_addresses_count(net):
    net.a.connect(B, L2[B])
    net.run(3, net.up)
    assert net.up()
    net.a.send_packet(B, b"to b")
    net.run(0.1)
    assert net.b.packets == [b"to b"] and not net.a.access.queued and not net.b.access.queued


def test_an_answer_goes_to_where_the_request_came_from(net):
    """Not to the layer-2 id in it: a copy from elsewhere gets its answer there, once in 500 ms by the carrier."""
    net.a.connect(B)
    net.a.step()
    (request,) = signalling(net.a, DirectRequest)
    assert len(net.b.udp.receive()) == 1, "the genuine one is lost"
    with datagram(request.data, net.b.udp.port) as first:
        net.b.step()
        net.b.step()
        envelope = first.recv(2048)
    assert envelope[:3] == L2[B].to_bytes(3) and envelope[6] == 28 and envelope[12] == DirectAccept.TYPE
    with datagram(request.data, net.b.udp.port) as second:
        net.b.step()
        with pytest.raises(BlockingIOError):
            second.recv(2048)


@pytest.mark.parametrize("net", [{"policy": Policy(deny=(A,))}], indirect=True)
def test_a_reject_goes_to_where_the_request_came_from(net):
    insider = Ue(A)
    insider.entity.connect(at(B, L2[B]), net.now())
    (pdu,) = insider.entity.pdus_to_send(net.now())
    with datagram(pdu.data, net.b.udp.port) as anybody:
        net.run(0.1)
        assert anybody.recv(2048)[12] == DirectReject.TYPE
    assert [event.cause for event in net.b.ue.of(RequestRefused)] == [Cause.NOT_ALLOWED]
    assert not net.b.access.queued


def test_a_request_to_the_radio_is_not_answered_by_another_carrier(net):
    """An accept that an attacker brings by UDP moves no link there."""
    net.a.ue.entity.connect(at(B, L2[B]), net.now())
    net.a.step()
    net.a.step()
    request = net.a.access.queued[0]
    pdu = PduReceived(src_l2=L2[A], dst_l2=L2[B], lcid=28, to_group=False, data=request.data)
    for opened in net.b.bearers.open_heard([pdu]):
        net.b.take(opened)
    net.b.step()
    (accept,) = net.b.access.queued
    with datagram(accept.data[5:], net.a.udp.port):
        net.run(0.1)
    assert [event.why for event in net.a.ue.of(AcceptRefused)] == ["not by the carrier that the request was sent by"]
    assert net.a.ue.states() == ["wait-accept"] or not net.a.ue.of(LinkEstablished)


def test_a_protected_pdu_by_another_carrier_uses_no_number_up(net):
    """A copy on the air of a PDU sent by UDP: it is not opened, so the genuine one that comes later still is."""
    net.a.connect(B)
    net.run(2, net.up)
    held = []
    send = net.a.udp.send
    net.a.udp.send = lambda pdu, to: held.append((pdu, to))
    net.a.send_packet(B, b"once")
    net.a.udp.send = send
    ((pdu, to),) = held
    copy = PduReceived(src_l2=pdu.src_l2, dst_l2=pdu.dst_l2, lcid=pdu.lcid, to_group=False, data=pdu.data)
    for opened in net.b.bearers.open_heard([copy]):
        net.b.take(opened)
    assert "is not borne by carrier direct" in net.b.drops[-1].detail and not net.b.packets
    send(pdu, to)
    net.run(0.1)
    assert net.b.packets == [b"once"]


def test_the_entity_itself_takes_a_protected_message_only_from_what_bears_the_link(net):
    net.a.connect(B)
    net.run(2, net.up)
    kd_sess_id = net.a.ue.entity.user_data_id(L2[B])
    via = replace(net.b.ue.entity.links[0].via, traits=net.b.ue.config.timers.direct)
    pdu = ReceivedPdu(data=b"\x11\0\1", src_l2=L2[A], dst_l2=L2[B], lcid=30, kd_sess_id=kd_sess_id, via=via)
    net.b.ue.entity.receive(pdu, net.now())
    net.b.step()
    assert net.b.ue.of(Dropped)[-1].why == "not by the carrier that bears the link"


def test_what_is_too_long_for_the_carrier_is_told_and_not_sent(net):
    net.a.connect(B)
    net.run(2, net.up)
    net.a.send_packet(B, bytes(1500))
    assert isinstance(net.a.drops[-1], L2Dropped) and "too long" in net.a.drops[-1].why
    net.a.udp.traits = replace(net.a.udp.traits, max_pdu_octets=300)
    net.a.ue.entity.release(B, net.now())
    net.run(3)
    net.a.connect(B)
    net.run(0.1)
    assert "too long for carrier udp, which takes 300" in net.a.ue.of(LinkFailed)[-1].why
    assert net.a.ue.holds_nothing()


def test_each_source_that_its_carrier_knows_has_a_bucket_of_its_own(net):
    """By the via, whatever layer-2 id an envelope names."""
    traits = CarrierTraits(
        name="core", addresses_count=False, knows_sources=True, repeats_by_itself=True, bears_links=False
    )
    draws = []
    for source, n_asked in (("alice", 12), ("bob", 1)):
        via = replace(net.b.udp._via("h", 1), traits=traits, address=source, source=None)
        budget = net.b.ue.entity._verify
        for n in range(n_asked):
            pdu = ReceivedPdu(data=f"{source}{n}".encode(), src_l2=n, dst_l2=0, lcid=28, via=via)
            draws.append(budget.ask(pdu, source, net.mono_s).name)
    assert draws == ["GRANTED"] * 10 + ["REFUSED"] * 2 + ["GRANTED"]
