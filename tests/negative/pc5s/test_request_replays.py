"""Rows 4, 5, 10 to 13 and 27: requests that come again, or at another time (PROFILE 13)."""

from dataclasses import replace

import pytest

from prose_link.pc5s.core.credentials import Credentials
from prose_link.pc5s.core.events import LinkEstablished, LinkFailed, LinkProvisional
from prose_link.pc5s.core.replay import MemoryRecord
from prose_link.pc5s.wire.codec import decode
from prose_link.pc5s.wire.messages import (
    Cause,
    DirectAccept,
    DirectReject,
    DirectRequest,
)
from prose_link.pc5s.wire.pdus import ReceivedPdu
from security.eccsi.eccsi import SIGNATURE_OCTETS
from security.eccsi.p256 import Q
from security.mikey.payloads import Timestamp
from tests.benches.attack_bench import (
    assert_genuine_exchange,
    assert_works,
    attack,
    each,
    refusals,
    refused,
    resigned,
)
from tests.benches.pc5s_bench import L2, A, Air, B, E, Ue, at, forged_request, make_kms, pair, via_of

World = tuple[Ue, Ue, Air]

DAY_S = 86_400.0


@pytest.fixture
def world():
    return pair()


def malleated(octets):
    """The same DCR with (r, q-s) in place of (r, s): another valid signature."""
    signature = octets[-SIGNATURE_OCTETS:]
    s = int.from_bytes(signature[32:64])
    return octets[:-SIGNATURE_OCTETS] + signature[:32] + (int(Q) - s).to_bytes(32) + signature[64:]


def count_openings(monkeypatch):
    """Who decapsulates: one entry for each pairing."""
    opened = []
    genuine = Credentials.open
    monkeypatch.setattr(Credentials, "open", lambda self, *args: opened.append(self.uri) or genuine(self, *args))
    return opened


def test_row_04_other_signature_sent_before_the_original(world: World, monkeypatch):
    a, b, air = world
    air.pass_on = lambda frame: (
        [replace(frame, data=malleated(frame.data)), frame] if frame.data[0] == 1 and not frame.kd_sess_id else [frame]
    )
    opened = count_openings(monkeypatch)
    air.connect(a, b)
    air.run(0.5)
    assert len(b.of(LinkProvisional)) == 1
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert len({frame.data for frame in air.sent(DirectAccept)}) == 1
    assert b.entity.links[0].asked.request_hash == a.entity.links[0].asked.request_hash
    assert opened.count(B) == 1 and refusals(b) == []
    assert_works(a, b, air)


def test_row_05_other_signature_after_the_link_is_up_and_after_t4111(world: World, monkeypatch):
    a, b, air = world
    opened = count_openings(monkeypatch)
    air.connect(a, b)
    air.run(0.5)
    request = air.sent(DirectRequest)[0].data
    attack(air, malleated(request))
    assert b.states() == ["established"]
    lone = forged_request(a, b, air).octets
    attack(air, lone)
    air.run(7)
    attack(air, malleated(lone))
    assert refusals(b) == [(7, None, "replay")]
    assert opened.count(B) == 2
    assert_works(a, b, air)
    a.entity.release(B, air.now)
    air.run(4)
    assert_genuine_exchange(a, b, air)


def test_row_10_replay_within_the_window(world: World):
    a, b, air = world
    air.connect(a, b)
    air.run(0.03)
    request = air.sent(DirectRequest)[0].data
    attack(air, request)
    assert len({frame.data for frame in air.sent(DirectAccept)}) == 1
    air.run(0.5)
    accepts = len(air.sent(DirectAccept))
    attack(air, request)
    assert len(air.sent(DirectAccept)) == accepts and b.states() == ["established"]
    a.entity.release(B, air.now)
    air.run(3)
    attack(air, request)
    assert refusals(b) == [(7, None, "replay")]
    assert b.holds_nothing()
    assert_genuine_exchange(a, b, air)


def test_row_11_replay_over_another_carrier(world: World):
    a, b, air = world
    request = forged_request(a, b, air).octets
    attack(air, request)
    air.run(7)
    attack(air, request, carrier="ims")
    assert refusals(b) == [(7, None, "replay")]
    assert b.holds_nothing() and len(air.sent(DirectAccept)) == 1 and not air.sent(DirectReject)
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("kept", [True, False])
def test_row_12_replay_after_restart(world: World, kept):
    a, b, air = world
    request = forged_request(a, b, air).octets
    attack(air, request)
    now_ntp_s = int(air.now.ntp_s)
    record = b.record if kept else MemoryRecord(floor_ntp_s=now_ntp_s, accept_after_ntp_s=now_ntp_s + 1)
    restarted = Ue(B, record=record)
    air.ues[1] = restarted
    air.run(2)
    attack(air, request)
    expected = (7, None, "replay") if kept else (6, Cause.TIME_OR_KEY_PERIOD, "time not after the record's start")
    assert refusals(restarted) == [expected]
    assert restarted.holds_nothing() and not restarted.of(LinkProvisional) and len(restarted.record) == kept
    assert_genuine_exchange(a, restarted, air)


def test_row_12_record_lost_and_time_ahead_costs_one_provisional_link(world: World):
    a, b, air = world
    request = forged_request(a, b, air, ntp_s=air.now.ntp_s + 200).octets
    attack(air, request)
    restarted = Ue(B, record=MemoryRecord(accept_after_ntp_s=int(air.now.ntp_s)))
    air.ues[1] = restarted
    attack(air, request)
    assert restarted.states() == ["provisional"]
    air.run(7)
    assert restarted.holds_nothing() and not restarted.of(LinkEstablished)
    assert_genuine_exchange(a, restarted, air)


def test_row_13_old_request_and_a_clock_turned_back():
    kms = make_kms()
    months = (-12, 0)
    a, b = (Ue(uri, ring=kms.ring(uri, months=months)) for uri in (A, B))
    air = Air(a, b)
    old = forged_request(a, b, air, ntp_s=air.now.ntp_s - 365 * DAY_S).octets
    for ue in (a, b):
        ue.entity.receive(_pdu(b"\x03", E, ue.uri), air.now)
    air.utc_offset_s -= 365 * DAY_S
    attack(air, old)
    assert refusals(b) == [(6, Cause.TIME_OR_KEY_PERIOD, "clock below the time floor")]
    assert b.holds_nothing()
    b.events.clear()
    b.entity.connect(at(A, L2[A]), air.now)
    air.run(0.1)
    assert b.of(LinkFailed)[0].why == "clock below the time floor"
    air.utc_offset_s += 365 * DAY_S
    assert_genuine_exchange(a, b, air)


def _pdu(octets, src, dst):
    return ReceivedPdu(data=octets, src_l2=L2[src], dst_l2=L2[dst], lcid=28, via=via_of("direct", L2[src]))


@pytest.mark.parametrize("offset_s", [-301, 301])
@pytest.mark.parametrize("signed", [True, False])
def test_row_27_time_outside_the_window(world: World, offset_s, signed):
    a, b, air = world
    octets = forged_request(a, b, air, ntp_s=air.now.ntp_s + 0.02 + offset_s).octets
    if not signed:
        octets = octets[:-1] + bytes([octets[-1] ^ 1])
    attack(air, octets)
    expected = (6, Cause.TIME_OR_KEY_PERIOD, "time outside the window")
    assert refusals(b) == [expected if signed else (10, None, "signature does not verify")]
    assert [decode(frame.data).cause for frame in air.sent(DirectReject)] == [0x80] * signed
    assert b.holds_nothing() and len(b.record) == 0
    attack(air, octets)
    assert len(air.sent(DirectReject)) == 2 * signed
    assert len(refusals(b)) == 2 - signed
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize(
    ("utc_s", "months", "step"),
    [
        (1_790_812_800.0 + 2.5 * DAY_S, -1, 6),
        (1_790_812_800.0 - 2.5 * DAY_S, +1, 6),
    ],
)
def test_row_27_key_period_of_another_month(utc_s, months, step):
    kms = make_kms()
    a, b = (Ue(uri, ring=kms.ring(uri, utc_s, months=(-1, 0, 1))) for uri in (A, B))
    air = Air(a, b, utc_s=utc_s)
    octets = forged_request(a, b, air, ntp_s=air.now.ntp_s + months * 5 * DAY_S).octets
    attack(air, octets)
    assert refusals(b) == [(step, Cause.TIME_OR_KEY_PERIOD, "key period not acceptable now")]
    assert b.holds_nothing()
    assert_genuine_exchange(a, b, air)


def test_row_27_timestamp_of_another_type(world: World):
    a, b, air = world
    reasons = refused(*world, resigned(a, forged_request(a, b, air), air, each(Timestamp, kind=lambda _: 1)))
    assert [(step, cause) for step, cause, _ in reasons] == [(4, None)]
    assert reasons[0][2].startswith("I_MESSAGE form: ")
