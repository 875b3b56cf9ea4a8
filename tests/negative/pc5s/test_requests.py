"""Attacks on the request, by the numbers of the profile's test matrix (PROFILE 13)."""

from dataclasses import replace

import pytest
from pc5s_bench import L2, A, Air, B, C, E, Ue, forged_request, make_kms, pair, plain, reencoded

from prose_link.pc5s.codec import decode, encode
from prose_link.pc5s.credentials import Credentials
from prose_link.pc5s.events import LinkEstablished, LinkFailed, LinkProvisional, RequestRefused
from prose_link.pc5s.key_exchange import build_request
from prose_link.pc5s.messages import (
    Cause,
    DirectAccept,
    DirectReject,
    DirectRequest,
    GroupInfo,
    Mutual,
    ProfileAndFlags,
    Purpose,
    SecurityCapabilities,
)
from prose_link.pc5s.pdus import ReceivedPdu
from prose_link.pc5s.policy import LinkPolicy, MutualGive, Policy
from prose_link.pc5s.replay import REPLAY_ENTRIES_PER_SIGNER, MemoryRecord
from security.eccsi import SIGNATURE_OCTETS
from security.identifiers import KeyRing
from security.mikey import Kind
from security.p256 import Q
from security.record import RecordError

DAY_S = 86_400.0


def refusals(ue):
    return [(event.step, event.cause, event.why) for event in ue.of(RequestRefused)]


def assert_untouched(b, air):
    """No state, no key, no answer, no replay entry."""
    assert b.holds_nothing()
    assert len(b.record) == 0
    assert not air.sent(DirectAccept) and not air.sent(DirectReject)
    assert not b.of(LinkProvisional)


def assert_genuine_works(a, b, air):
    """A genuine exchange comes through right after the attack."""
    for ue in (a, b):
        ue.events.clear()
    air.connect(a, b)
    air.run(0.5)
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert air.send_user_data(a, b, b"after the attack")
    air.run(0.1)
    assert b.user_data[-1] == b"after the attack"


def attack(air, octets, src=A, dst=B, carrier="direct"):
    air.inject(plain(octets, L2[src], L2[dst], carrier))
    air.run(0.1)


@pytest.fixture
def world():
    return pair()


def refused_for(world, octets, **kwargs):
    a, b, air = world
    attack(air, octets, **kwargs)
    assert_untouched(b, air)
    assert_found = refusals(b)
    assert_genuine_works(a, b, air)
    return assert_found


def test_row_01_each_octet_before_the_i_message_flipped(world):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    end = octets.index(b"\x78", 70)
    for position in range(end):
        flipped = bytearray(octets)
        flipped[position] ^= 0x01
        attack(air, bytes(flipped))
    assert {step for step, _, _ in refusals(b)} <= {1, 2, 4}
    assert all(cause is None for _, cause, _ in refusals(b))
    assert len(refusals(b)) + len([1 for event in b.events if type(event).__name__ != "RequestRefused"]) == end
    assert_untouched(b, air)
    assert_genuine_works(a, b, air)


def test_row_02_each_octet_of_the_signed_part_flipped(world):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    start = octets.index(b"\x78", 70)
    for position in range(start, len(octets) - SIGNATURE_OCTETS):
        flipped = bytearray(octets)
        flipped[position] ^= 0x80
        attack(air, bytes(flipped))
    assert {step for step, _, _ in refusals(b)} <= set(range(1, 11))
    assert all(cause is None for _, cause, _ in refusals(b))
    assert_untouched(b, air)
    air.run(10)
    assert_genuine_works(a, b, air)


def test_row_03_i_message_of_another_request(world):
    a, b, air = world
    one, other = forged_request(a, b, air), forged_request(a, b, air)
    mixed = reencoded(one.octets, i_message=decode(other.octets).i_message)
    assert refused_for(world, mixed) == [(4, None, "I_MESSAGE is not bound to this request")]


def malleated(octets):
    """The same DCR with (r, q-s) in place of (r, s): another valid signature."""
    signature = octets[-SIGNATURE_OCTETS:]
    s = int.from_bytes(signature[32:64])
    return octets[:-SIGNATURE_OCTETS] + signature[:32] + (int(Q) - s).to_bytes(32) + signature[64:]


def test_row_04_other_signature_sent_before_the_original(world):
    a, b, air = world
    air.pass_on = lambda frame: (
        [replace(frame, data=malleated(frame.data)), frame] if frame.data[0] == 1 and not frame.kd_sess_id else [frame]
    )
    air.connect(a, b)
    air.run(0.5)
    assert len(b.of(LinkProvisional)) == 1
    assert a.of(LinkEstablished) and b.of(LinkEstablished)
    assert len({frame.data for frame in air.sent(DirectAccept)}) == 1


def test_row_05_other_signature_after_the_link_is_up_and_after_t4111(world, monkeypatch):
    a, b, air = world
    opened = []
    genuine_open = Credentials.open
    monkeypatch.setattr(Credentials, "open", lambda self, *args: opened.append(self.uri) or genuine_open(self, *args))
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


@pytest.mark.parametrize(
    "signature",
    {
        "s is 0": lambda sig: sig[:32] + bytes(32) + sig[64:],
        "s is q": lambda sig: sig[:32] + int(Q).to_bytes(32) + sig[64:],
        "r is 0": lambda sig: bytes(32) + sig[32:],
        "PVT off the curve": lambda sig: sig[:-1] + bytes([sig[-1] ^ 1]),
        "PVT compressed": lambda sig: sig[:64] + b"\x02" + sig[65:],
    }.values(),
)
def test_row_06_impossible_signatures(world, signature):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    bad = octets[:-SIGNATURE_OCTETS] + signature(octets[-SIGNATURE_OCTETS:])
    assert refused_for(world, bad) == [(10, None, "signature does not verify")]


def test_row_08_request_for_somebody_else(world):
    a, _b, air = world
    c = Ue(C)
    assert refused_for(world, forged_request(a, c, air).octets) == [(2, None, "not for this identity")]


def test_row_09_request_reflected_to_its_sender(world):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    air.inject(plain(octets, L2[A], L2[A]))
    air.run(0.1)
    assert refusals(a) == [(2, None, "not for this identity")]
    assert a.holds_nothing()
    assert_genuine_works(a, b, air)


def test_row_10_replay_within_the_window(world):
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
    assert_genuine_works(a, b, air)


def test_row_11_replay_over_another_carrier(world):
    a, b, air = world
    request = forged_request(a, b, air).octets
    attack(air, request)
    air.run(7)
    attack(air, request, carrier="ims")
    assert refusals(b) == [(7, None, "replay")]
    assert_genuine_works(a, b, air)


@pytest.mark.parametrize("kept", [True, False])
def test_row_12_replay_after_restart(world, kept):
    a, b, air = world
    request = forged_request(a, b, air).octets
    attack(air, request)
    record = b.record if kept else MemoryRecord(floor_ntp_s=int(air.now.ntp_s) + 1)
    restarted = Ue(B, record=record)
    air.ues[1] = restarted
    air.run(2)
    attack(air, request)
    expected = (7, None, "replay") if kept else (6, Cause.TIME_OR_KEY_PERIOD, "time not above the floor")
    assert refusals(restarted) == [expected]
    assert restarted.holds_nothing()
    assert_genuine_works(a, restarted, air)


def test_row_12_record_lost_and_time_ahead_costs_one_provisional_link(world):
    a, b, air = world
    request = forged_request(a, b, air, ntp_s=air.now.ntp_s + 200).octets
    attack(air, request)
    restarted = Ue(B, record=MemoryRecord(floor_ntp_s=int(air.now.ntp_s)))
    air.ues[1] = restarted
    attack(air, request)
    assert restarted.states() == ["provisional"]
    air.run(7)
    assert restarted.holds_nothing() and not restarted.of(LinkEstablished)
    assert_genuine_works(a, restarted, air)


def test_row_13_old_request_and_a_clock_turned_back():
    kms = make_kms()
    months = (-12, 0)
    a, b = (Ue(uri, ring=kms.ring(uri, months=months)) for uri in (A, B))
    air = Air(a, b)
    old = forged_request(a, b, air, ntp_s=air.now.ntp_s - 365 * DAY_S).octets
    b.entity.receive(_pdu(b"\x03", A, B), air.now)
    air.utc_offset_s -= 365 * DAY_S
    attack(air, old)
    assert refusals(b) == [(6, Cause.TIME_OR_KEY_PERIOD, "clock below the time floor")]
    assert b.holds_nothing()
    b.events.clear()
    b.entity.connect(A, L2[A], air.now)
    air.run(0.1)
    assert b.of(LinkFailed)[0].why == "clock below the time floor"
    air.utc_offset_s += 365 * DAY_S
    assert_genuine_works(a, b, air)


def _pdu(octets, src, dst):
    return ReceivedPdu(data=octets, src_l2=L2[src], dst_l2=L2[dst], lcid=28)


@pytest.mark.parametrize(
    "altered",
    [
        {"capabilities": SecurityCapabilities.of((1,), (1,))},
        {"profile": ProfileAndFlags(mutual=Mutual.NOT_WANTED)},
        {"nonce_1": bytes(16)},
        {"kd_sess_id_msb": 0x77},
        {"maximum_inactivity_period_s": 31},
    ],
)
def test_row_14_fields_altered_under_way(world, altered):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    assert refused_for(world, reencoded(octets, **altered)) == [(4, None, "I_MESSAGE is not bound to this request")]


def test_row_14_layer_2_id_altered_with_its_source_address(world):
    a, b, air = world
    octets = reencoded(forged_request(a, b, air).octets, link_l2_id=L2[E])
    assert refused_for(world, octets) == [(2, None, "layer-2 id is not the source address")]
    b.events.clear()
    attack(air, octets, src=E)
    assert refusals(b) == [(4, None, "I_MESSAGE is not bound to this request")]


@pytest.mark.parametrize("kind", [Kind.ACCEPT, Kind.GROUP, Kind.REKEY_REQUEST, Kind.REKEY_RESPONSE])
def test_row_23_i_message_of_another_kind(world, kind):
    a, b, air = world
    draft = decode(forged_request(a, b, air).octets)
    built = build_request(draft, a.credentials, ntp_s=air.now.ntp_s, kind=kind)
    assert refused_for(world, built.octets) == [(4, None, "I_MESSAGE of another kind")]


def test_row_25_kms_of_another_namespace():
    rogue = make_kms("rogue", namespace=("tel:+4477009*",))
    a, b, air = pair()
    e = Ue(A, kms=rogue)
    octets = forged_request(e, b, air).octets
    assert refused_for((a, b, air), octets) == [(5, None, "KMS does not speak for this identity")]


@pytest.mark.parametrize(
    "uri", ["tel:+44770090\x000001", "sip:a@Example.org", "tel:+447700900001;ext=1", "", "tel:+" + "4" * 249]
)
def test_row_26_impossible_identities(world, uri):
    a, b, air = world
    octets = forged_request(a, b, air).octets
    value = b"\x01" + uri.encode()
    own = octets[3] + 1
    bad = octets[:3] + bytes([len(value) & 0xFF]) + value + octets[3 + own :]
    assert [(step, cause) for step, cause, _ in refused_for(world, bad)] == [(1, None)]


def test_row_26_user_info_differs_from_idri(world):
    a, b, air = world
    e = Ue(E)
    draft = decode(forged_request(a, b, air).octets)
    built = build_request(replace(draft, i_message=b""), e.credentials, ntp_s=air.now.ntp_s)
    assert refused_for(world, built.octets) == [(4, None, "identities differ from User Info")]


@pytest.mark.parametrize("offset_s", [-301, 301])
@pytest.mark.parametrize("signed", [True, False])
def test_row_27_time_outside_the_window(world, offset_s, signed):
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
    assert_genuine_works(a, b, air)


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
    assert_genuine_works(a, b, air)


def test_row_28_signer_not_authorised_or_denied():
    a, b, air = pair(b={"policy": Policy(deny=(E,))})
    e = Ue(E)
    air.ues.append(e)
    air.connect(e, b)
    air.run(9)
    assert refusals(b) == [(8, Cause.NOT_ALLOWED, "not authorised")]
    assert (e.of(LinkFailed)[0].cause, e.holds_nothing()) == (Cause.NOT_ALLOWED, True)
    b.entity.deny([E], air.now)
    b.events.clear()
    air.connect(e, b)
    air.run(9)
    assert refusals(b)[0] == (5, Cause.NOT_ALLOWED, "on the deny list")
    assert_genuine_works(a, b, air)


def test_row_28_responder_not_provisioned():
    kms = make_kms()
    a, b = Ue(A), Ue(B, ring=KeyRing([kms.domain], []))
    air = Air(a, b)
    air.connect(a, b)
    air.run(9)
    assert {why for _, _, why in refusals(b)} == {"no keys held for this period"}
    assert a.holds_nothing() and b.holds_nothing() and not air.sent(DirectReject)


def test_row_29_flood_of_bad_signatures(world, monkeypatch):
    a, b, air = world
    verified = []
    genuine_verify = Credentials.verify
    monkeypatch.setattr(
        Credentials, "verify", lambda self, *args: verified.append(air.mono_s) or genuine_verify(self, *args)
    )
    octets = forged_request(a, b, air).octets
    bad = octets[:-SIGNATURE_OCTETS] + bytes(SIGNATURE_OCTETS)
    for number in range(2000):
        source = 0x100000 + number % 400
        forged = reencoded(bad, link_l2_id=source)
        air.inject(plain(forged, source, L2[B]), after_s=0.001 * number)
    air.run(2.0)
    assert len(verified) == 0
    for number in range(500):
        forged = bytearray(bad)
        forged[-1] = number & 0xFF
        air.inject(plain(bytes(forged), L2[A], L2[B]), after_s=0.002 * number)
    air.run(1.0)
    assert len(verified) <= 10 + 5
    b.events.clear()
    air.connect(a, b)
    air.run(6.5)
    assert a.of(LinkEstablished)


def test_row_30_insider_sends_valid_requests_at_rate(world):
    a, b, air = world
    e = Ue(E)
    for _ in range(9):
        attack(air, forged_request(e, b, air).octets, src=E)
    assert b.states() == ["provisional"]
    causes = [cause for step, cause, _ in refusals(b) if step == 12]
    assert causes and set(causes) == {Cause.LACK_OF_RESOURCES}
    assert_genuine_works(a, b, air)
    air.run(7)
    assert b.states() == ["established"]


def test_row_30_insider_with_a_bad_sed(world):
    a, b, air = world
    e = Ue(E)
    draft = forged_request(e, b, air, kd_sess_id_msb=9).asked.message
    built = build_request(replace(draft, i_message=b""), e.credentials, ntp_s=air.now.ntp_s)
    octets = with_other_sed(e, b, air, built)
    attack(air, octets, src=E)
    assert refusals(b) == [(13, Cause.AUTHENTICATION_FAILURE, "SSV can't be opened")]
    assert b.holds_nothing()
    attack(air, octets, src=E)
    assert [decode(frame.data).cause for frame in air.sent(DirectReject)] == [2, 2]
    assert_genuine_works(a, b, air)


def with_other_sed(sender, target, air, built):
    """The request with a SED that was made for somebody else, signed anew by its sender."""
    from security.mikey.codec import MikeyMessage
    from security.mikey.codec import decode as decode_mikey
    from security.mikey.i_message import sign_message
    from security.mikey.payloads import Sakke

    message = decode_mikey(built.asked.message.i_message)
    payloads = [
        replace(one, data=one.data[:-1] + bytes([one.data[-1] ^ 1])) if isinstance(one, Sakke) else one
        for one in message.payloads[:-1]
    ]
    keys = make_kms().keys(sender.uri, make_kms().domain.period_of(air.now.ntp_s))
    i_message = sign_message(
        MikeyMessage(header=message.header, payloads=tuple(payloads)),
        keys=keys,
        kpak=make_kms().domain.kpak,
        entropy=bytes(32),
    )
    return encode(replace(built.asked.message, i_message=i_message))


def test_row_31_insider_fills_the_replay_cache(world):
    a, b, air = world
    e = Ue(E)
    expires = int(air.now.ntp_s) + 300
    for number in range(REPLAY_ENTRIES_PER_SIGNER):
        b.record.remember(number.to_bytes(32), signer=E, expires_ntp_s=expires, now_ntp_s=int(air.now.ntp_s))
    attack(air, forged_request(e, b, air).octets, src=E)
    assert refusals(b) == [(7, Cause.LACK_OF_RESOURCES, "replay cache is full")]
    assert len(b.record) == REPLAY_ENTRIES_PER_SIGNER
    assert_genuine_works(a, b, air)


class BrokenRecord(MemoryRecord):
    """A record whose disk has gone."""

    def raise_floor(self, ntp_s):
        raise RecordError("no disk")

    def remember(self, digest, **entry):
        raise RecordError("no disk")


def test_nothing_is_worked_on_without_a_record():
    a, b, air = pair(b={"record": BrokenRecord()})
    air.connect(a, b)
    air.run(9)
    assert set(refusals(b)) == {(7, None, "record can't be used")}
    assert b.holds_nothing() and not air.sent(DirectAccept)


def test_row_38_msb_zero_is_malformed(world):
    a, b, air = world
    octets = forged_request(a, b, air, kd_sess_id_msb=0x21).octets
    position = octets.index(b"\x70\x70\x21") + 2
    bad = octets[:position] + b"\0" + octets[position + 1 :]
    assert [(step, cause) for step, cause, _ in refused_for(world, bad)] == [(1, None)]


def test_row_39_group_keying_by_somebody_who_is_no_keyer(world):
    a, b, air = world
    e = Ue(E)
    info = GroupInfo(
        group_l2_id=9, pgk_id=1, epoch=1, expiry_ntp_s=1, eea=2, mode=1, group_identity="tel:+447700900099"
    )
    profile = ProfileAndFlags(mutual=Mutual.NOT_WANTED, purpose=Purpose.GROUP)
    draft = forged_request(e, b, air, group_info=info, profile=profile).asked.message
    built = build_request(replace(draft, i_message=b""), e.credentials, ntp_s=air.now.ntp_s, kind=Kind.GROUP)
    attack(air, built.octets, src=E)
    assert refusals(b) == [(8, Cause.NOT_ALLOWED, "not a keyer of the group")]
    assert b.holds_nothing()
    assert_genuine_works(a, b, air)


@pytest.mark.parametrize(
    ("policy", "altered", "cause"),
    [
        (LinkPolicy(ciphering=(3,)), {"capabilities": SecurityCapabilities.of((1, 2), (2,))}, 7),
        (LinkPolicy(), {"capabilities": SecurityCapabilities.of((0,), (0,))}, 7),
        (LinkPolicy(mutual_give=MutualGive.NEVER), {"profile": ProfileAndFlags(mutual=Mutual.REQUIRED)}, 0x81),
        (LinkPolicy(), {"link_l2_id": L2[B]}, 3),
    ],
)
def test_policy_refusals_tell_their_cause(policy, altered, cause):
    a, b, air = pair(b={"policy": policy})
    src = altered.get("link_l2_id", L2[A])
    air.inject(plain(forged_request(a, b, air, **altered).octets, src, L2[B]))
    air.run(0.1)
    assert [(step, told) for step, told, _ in refusals(b)] == [(8, cause)]
    assert len(b.of(LinkProvisional)) == 0 and b.holds_nothing()
