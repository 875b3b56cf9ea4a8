"""Attacks on a link, and accidents that happen to it, by the numbers of the profile's test matrix (PROFILE 13)."""

from dataclasses import replace

import pytest

from prose_link.pc5s.core.events import Dropped, LinkEstablished, LinkReleased, Rekeyed, RequestRefused, RequestYielded
from prose_link.pc5s.core.policy import LinkPolicy, RekeyContribution
from prose_link.pc5s.wire.codec import decode, encode
from prose_link.pc5s.wire.messages import (
    DirectReject,
    Keepalive,
    RekeyingRequest,
    Release,
    ReleaseReason,
    SecurityCapabilities,
)
from radio.l2.pdcp import ProtectionError
from tests.benches.attack_bench import assert_genuine_exchange, assert_works
from tests.benches.pc5s_bench import L2, A, B, C, Ue, forged_request, linked, pair, plain

NONCES = LinkPolicy(rekey_contribution=RekeyContribution.NONCE_ONLY)


def protected(air, lcid=None):
    return [frame for frame in air.log if frame.kd_sess_id and lcid in (None, frame.lcid)]


@pytest.mark.parametrize(
    "message",
    [
        Release(sequence_number=1, reason=ReleaseReason.NO_LONGER_NEEDED),
        Keepalive(sequence_number=1, counter=1),
        Keepalive(sequence_number=1, counter=0, confirmation=bytes(16)),
        DirectReject(sequence_number=1, cause=1, request_hash=bytes(8)),
        RekeyingRequest(
            sequence_number=1,
            capabilities=SecurityCapabilities.of((1,), (1,)),
            nonce_1=bytes(16),
            kd_sess_id_msb=3,
        ),
    ],
)
@pytest.mark.parametrize("lcid", [28, 30, 4])
def test_row_22_plain_messages_do_nothing_to_a_link(message, lcid):
    a, b, air = linked()
    air.inject(replace(plain(encode(message), L2[A], L2[B]), lcid=lcid))
    air.run(0.1)
    forged_reject = lcid == 28 and isinstance(message, DirectReject)
    why = {28: "no open request" if forged_reject else "not allowed without protection",
           30: "no place for this logical channel and protection"}  # fmt: skip
    assert [event.why for event in b.of(Dropped)] == ([why[lcid]] if lcid in why else [])
    assert b.pdcp_drops == ([] if lcid in why else ["user data not admitted"])
    assert a.states() == b.states() == ["established"]
    assert_works(a, b, air)


@pytest.mark.parametrize("lost", range(12))
@pytest.mark.parametrize("how_many", [1, 2])
def test_row_32_loss_of_each_pdu_in_turn(lost, how_many):
    a, b, air = pair()
    count = iter(range(1000))
    air.pass_on = lambda frame: [] if lost <= next(count) < lost + how_many else [frame]
    air.connect(a, b)
    air.run(12)
    air.pass_on = lambda frame: [frame]
    assert a.states() == b.states() == ["established"]
    assert_works(a, b, air)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("after_s", [0.01, 0.03, 0.05, 0.07, 0.2])
def test_row_32_either_end_killed_at_each_step(victim, after_s):
    a, b, air = pair()
    air.connect(a, b)
    air.run(after_s)
    killed = air.ues[victim]
    reborn = Ue(killed.uri, record=killed.record, seed="second life")
    air.ues[victim] = reborn
    other = air.ues[1 - victim]
    air.run(61)
    assert (reborn.states(), other.states()) in (([], []), (["established"], ["established"]))
    a, b = air.ues
    air.connect(a, b)
    air.run(1)
    assert_works(a, b, air)


def test_row_32_restarted_initiator_replaces_the_old_link():
    _a, b, air = linked()
    reborn = Ue(A, seed="second life")
    air.ues[0] = reborn
    air.connect(reborn, b)
    air.run(1)
    assert b.states() == ["established"]
    assert b.of(LinkReleased)[0].why == "superseded by a new link with the peer"
    assert_works(reborn, b, air)


def test_row_33_user_data_before_the_confirm():
    a, b, air = pair()
    air.pass_on = lambda frame: [] if frame.kd_sess_id else [frame]
    air.connect(a, b)
    air.run(0.05)
    (link,) = a.entity.links
    frame = a.protect(b.l2_id, 4, link.keys.current_id, b"too early")
    air.inject(frame)
    air.run(0.05)
    assert b.pdcp_drops == ["user data not admitted"] and b.states() == ["provisional"]
    air.pass_on = lambda frame: [frame]
    air.run(1)
    assert_works(a, b, air)


@pytest.mark.parametrize("null_integrity", [False, True])
def test_row_33_confirm_with_another_confirmation(null_integrity):
    policy = LinkPolicy(integrity=(), allow_null_integrity=True) if null_integrity else LinkPolicy()
    a, b, air = pair(policy=policy)
    air.pass_on = lambda frame: [] if frame.kd_sess_id else [frame]
    air.connect(a, b)
    air.run(0.05)
    (link,) = a.entity.links
    conf_r = decode(link.setup.accept_octets).confirmation
    for octets in (
        encode(Keepalive(sequence_number=9, counter=0, confirmation=conf_r)),
        encode(Keepalive(sequence_number=9, counter=1)),
        encode(Release(sequence_number=9, reason=ReleaseReason.NO_LONGER_NEEDED)),
    ):
        air.inject(a.protect(b.l2_id, 30, link.keys.current_id, octets))
    air.run(0.05)
    assert [event.why for event in b.of(Dropped)] == [
        "key confirmation differs",
        "the context waits for its Confirm",
        "the context waits for its Confirm",
    ]
    assert b.states() == ["provisional"]
    air.pass_on = lambda frame: [frame]
    air.run(1)
    assert b.states() == ["established"]


@pytest.mark.parametrize("lost", [(), (0,), (1,), (0, 1)])
def test_row_34_both_connect_at_once(lost):
    a, b, air = pair()
    count = iter(range(1000))
    air.pass_on = lambda frame: [] if next(count) in lost else [frame]
    air.connect(a, b)
    air.connect(b, a)
    air.run(12)
    assert a.states() == b.states() == ["established"]
    assert len(a.of(RequestYielded)) + len(b.of(RequestYielded)) == 1
    assert_works(a, b, air)


def test_row_34_forged_request_with_a_greater_hash_ends_nothing():
    a, b, air = pair()
    air.pass_on = lambda frame: []
    air.connect(a, b)
    air.run(0.01)
    own = a.entity.links[0].asked.t1_hash
    while (forged := forged_request(b, a, air)).asked.t1_hash <= own:
        pass
    octets = forged.octets[:-1] + bytes([forged.octets[-1] ^ 1])
    air.inject(plain(octets, L2[B], L2[A]))
    air.run(0.1)
    assert [event.step for event in a.of(RequestRefused)] == [10]
    assert a.states() == ["wait for accept"]
    air.pass_on = lambda frame: [frame]
    air.run(3)
    assert_works(a, b, air)


@pytest.mark.parametrize(
    ("altered", "reason"),
    [
        (lambda frame: replace(frame, data=bytes([frame.data[0] ^ 1]) + frame.data[1:]), "IntegrityFailure"),
        (lambda frame: replace(frame, mac_i=frame.mac_i[:3]), "IntegrityFailure"),
        (lambda frame: replace(frame, mac_i=b""), "IntegrityFailure"),
        (lambda frame: replace(frame, kd_sess_id=frame.kd_sess_id ^ 1), "no context"),
        (lambda frame: replace(frame, kd_sess_id=0), "user data not admitted"),
        (lambda frame: replace(frame, lcid=5), "IntegrityFailure"),
        (lambda frame: replace(frame, lcid=30), "IntegrityFailure"),
        (lambda frame: replace(frame, sn=frame.sn + 1), "IntegrityFailure"),
        (lambda frame: replace(frame, src_l2=L2[C]), "no context"),
    ],
)
def test_row_35_altered_pdus_are_dropped_and_the_link_stays(altered, reason):
    a, b, air = linked()
    air.pass_on = lambda frame: [altered(frame)]
    air.send_user_data(a, b, b"data")
    air.run(0.1)
    assert b.user_data == [] and b.pdcp_drops == [reason]
    air.pass_on = lambda frame: [frame]
    assert_works(a, b, air)


def test_row_35_pdus_of_the_context_before_the_last_rekey():
    """Under the old KD-sess ID: received until T_old after the switch, then there is no such context."""
    a, b, air = linked(policy=NONCES)
    old_id = a.entity.links[0].keys.current_id
    late, later = (a.protect(b.l2_id, 4, old_id, octets) for octets in (b"late", b"later"))
    a.entity.rekey(B, air.now)
    air.run(0.5)
    air.inject(late)
    air.run(0.1)
    assert b.user_data == [b"late"]
    air.run(3)
    air.inject(later)
    air.run(0.1)
    assert b.user_data == [b"late"] and b.pdcp_drops == ["no context"]
    assert_works(a, b, air)


def test_row_35_replayed_and_reflected_pdus_and_pdus_after_the_wipe():
    a, b, air = linked()
    air.send_user_data(a, b, b"data")
    air.run(0.1)
    (frame,) = protected(air, lcid=4)
    air.inject(frame)
    air.inject(replace(frame, src_l2=L2[B], dst_l2=L2[A]))
    air.run(0.1)
    assert b.user_data == [b"data"]
    assert (b.pdcp_drops, a.pdcp_drops) == (["ReplayedPdu"], ["IntegrityFailure"])
    a.entity.release(B, air.now)
    air.run(3)
    air.inject(frame)
    air.run(0.1)
    assert b.pdcp_drops[-1] == "no context"
    assert_genuine_exchange(a, b, air)


def drive_sn(ue, peer, upto):
    context = ue.entity.context(peer.l2_id, ue.entity.user_data_id(peer.l2_id))
    while context.next_sn(4) < upto:
        pass


@pytest.mark.parametrize("sender", [0, 1])
def test_row_36_high_sn_starts_a_rekey(sender):
    a, b, air = linked()
    ue, peer = air.ues[sender], air.ues[1 - sender]
    drive_sn(ue, peer, 0xE000)
    air.run(1)
    assert len(a.of(Rekeyed)) == len(b.of(Rekeyed)) == 1
    assert_works(a, b, air)


def test_row_36_bearer_stops_where_the_peer_is_deaf_to_rekeys():
    a, b, air = linked()
    drive_sn(a, b, 0xFFFF)
    requests = lambda frame: frame.lcid == 30 and frame.src_l2 == L2[A]  # noqa: E731
    air.pass_on = lambda frame: [] if requests(frame) else [frame]
    air.run(5)
    with pytest.raises(ProtectionError, match="LCID 4: all SNs"):
        air.send_user_data(a, b, b"once too often")
    air.pass_on = lambda frame: [frame]
    air.run(5)
    assert_works(a, b, air)


@pytest.mark.parametrize("policy", [NONCES, LinkPolicy()])
@pytest.mark.parametrize("requester", [0, 1])
def test_row_37_rekey_by_either_end(policy, requester):
    a, b, air = linked(policy=policy)
    ue, peer = air.ues[requester], air.ues[1 - requester]
    before = bytes(a.entity.links[0].keys.kd_next)
    ue.entity.rekey(peer.uri, air.now)
    air.run(0.5)
    (at_a,), (at_b,) = a.of(Rekeyed), b.of(Rekeyed)
    assert (at_a.kd_sess_id, at_a.new_kd) == (at_b.kd_sess_id, at_b.new_kd)
    assert at_a.new_kd is (policy is not NONCES)
    assert bytes(a.entity.links[0].keys.kd_next) != before
    assert bytes(a.entity.links[0].keys.kd_next) == bytes(b.entity.links[0].keys.kd_next)
    assert a.entity.context(b.l2_id, at_a.old_kd_sess_id) is not None
    air.run(2.5)
    assert a.entity.context(b.l2_id, at_a.old_kd_sess_id) is None
    assert b.entity.context(a.l2_id, at_a.old_kd_sess_id) is None
    assert_works(a, b, air)


@pytest.mark.parametrize("policy", [NONCES, LinkPolicy()])
def test_row_37_both_rekey_at_once(policy):
    a, b, air = linked(policy=policy)
    a.entity.rekey(B, air.now)
    b.entity.rekey(A, air.now)
    air.run(10)
    (at_a,), (at_b,) = a.of(Rekeyed), b.of(Rekeyed)
    assert at_a.kd_sess_id == at_b.kd_sess_id
    assert all(len(ue.entity.links[0].keys.contexts) == 1 for ue in (a, b))
    assert_works(a, b, air)


@pytest.mark.parametrize("lost", range(4))
def test_row_37_loss_of_each_pdu_of_a_rekey(lost):
    a, b, air = linked(policy=NONCES)
    count = iter(range(1000))
    air.pass_on = lambda frame: [] if frame.lcid == 30 and next(count) == lost else [frame]
    a.entity.rekey(B, air.now)
    for _ in range(40):
        assert_works(a, b, air)
    assert len(a.of(Rekeyed)) == len(b.of(Rekeyed)) == 1


def test_row_37_confirm_never_comes():
    """Both ends go on under the old context; the one that asks gives the link up at T4108."""
    a, b, air = linked(policy=NONCES)
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old else [frame]
    old = {a.entity.links[0].keys.current_id}
    b.entity.rekey(A, air.now)
    for _ in range(28):
        air.run(0.9)
        assert_works(a, b, air)
    assert {ue.entity.links[0].keys.current_id for ue in (a, b)} == old
    air.run(3)
    assert [event.why for event in b.of(LinkReleased)] == ["the peer does not acknowledge the rekey"]
    air.run(20)
    assert a.holds_nothing() and b.holds_nothing()
    assert_genuine_exchange(a, b, air)


def test_row_37_request_replayed_on_the_air_is_stopped_by_pdcp():
    a, b, air = linked(policy=NONCES)
    a.entity.rekey(B, air.now)
    air.run(0.5)
    request = next(frame for frame in protected(air, lcid=30)[2:] if frame.src_l2 == L2[A])
    air.inject(request)
    air.run(0.1)
    assert b.pdcp_drops == ["ReplayedPdu"]
    assert_works(a, b, air)


def test_row_37_the_seventeenth_needs_an_i_message():
    a, b, air = linked(policy=NONCES)
    ids = {a.entity.links[0].keys.current_id}
    for number in range(17):
        a.entity.rekey(B, air.now)
        air.run(3)
        assert a.of(Rekeyed)[-1].new_kd is (number == 16)
        ids.add(a.entity.links[0].keys.current_id)
    assert len(ids) == 18
    assert_works(a, b, air)


def test_row_37_trigger_makes_the_peer_ask():
    a, b, air = linked()
    b.entity.trigger_rekey(A, air.now)
    air.run(0.5)
    assert a.of(Rekeyed) and b.of(Rekeyed)


def test_rekey_at_the_age_of_the_kd():
    a, b, air = linked(policy=NONCES, kd_age_s=100.0)
    air.run(101)
    assert a.of(Rekeyed)[0].new_kd
    assert_works(a, b, air)


def test_denied_peer_loses_its_link_at_once():
    _a, b, air = linked()
    link = b.entity.links[0]
    b.entity.deny([A], air.now)
    assert b.holds_nothing()
    assert not link.keys.kd_next and not link.keys.contexts


def test_secrets_are_gone_after_a_failure():
    a, b, air = pair()
    air.pass_on = lambda frame: [] if frame.kd_sess_id else [frame]
    air.connect(a, b)
    air.run(0.05)
    links = [*a.entity.links, *b.entity.links]
    contexts = [context for link in links for context in link.keys.contexts.values()]
    assert len(contexts) == 2 and all(link.keys.kd_next for link in links)
    air.run(10)
    assert all(context.wiped for context in contexts)
    assert not any(
        link.keys.kd_next or link.setup.ssv or link.keys.contexts or link.keys.expected_conf_i for link in links
    )
    assert a.holds_nothing() and b.holds_nothing()
    assert not a.of(LinkEstablished) and not b.of(LinkEstablished)
