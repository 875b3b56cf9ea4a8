"""Attacks on the hand-over of a rekey, and its accidents: rows 47 and 48 of the test matrix (PROFILE 13)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from prose_link.pc5s.core.events import LinkReleased, Rekeyed, RekeyFailed
from prose_link.pc5s.core.fsm import RekeyState
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import (
    Keepalive,
    RekeyingTrigger,
    Release,
    ReleaseReason,
)
from tests.benches.attack_bench import assert_genuine_exchange, assert_works
from tests.benches.pc5s_bench import A, B, linked
from tests.benches.rekey_bench import NONCES, SAME, assert_rekeys, drops, link_of, request, under

BEFORE = "the context before takes user data only"


def current(*ues):
    """The KD-sess IDs that these UEs send on."""
    return [link_of(ue).keys.current_id for ue in ues]


ASKING = {"initiator asks": (0,), "responder asks": (1,), "both ask": (0, 1)}


def assert_one_context_or_none(a, b, air):
    """Both ends send on one context, or the link has ended at both, with a reason, and a new one comes up."""
    if a.states() and b.states():
        assert len(set(current(a, b))) == 1
        assert_works(a, b, air)
        assert_rekeys(a, b, air)
    else:
        assert a.holds_nothing() and b.holds_nothing()
        assert a.of(LinkReleased) and b.of(LinkReleased)
        assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("policy", [NONCES, SAME])
@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("lost", ["to the initiator", "to the responder", "both ways"])
@pytest.mark.parametrize("for_s", [6.0, 60.0])
def test_row_47_confirms_and_acks_lost(policy, asking, lost, for_s):
    """Whichever end asks: what is lost on the new context is the Confirm one way, the Ack the other."""
    a, b, air = linked(policy=policy)
    old = set(current(a, b))
    losing = {"to the initiator": (b.l2_id,), "to the responder": (a.l2_id,), "both ways": (a.l2_id, b.l2_id)}[lost]
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old and frame.src_l2 in losing else [frame]
    for which in ASKING[asking]:
        air.ues[which].entity.rekey(air.ues[1 - which].uri, air.now)
    air.run(for_s)
    air.pass_on = lambda frame: [frame]
    air.run(35)
    assert_one_context_or_none(a, b, air)


@pytest.mark.parametrize("asker", [0, 1])
def test_row_47_user_data_passes_while_the_confirm_does_not(asker):
    """Neither end sends on a context that the other one doesn't hold."""
    a, b, air = linked(policy=NONCES)
    ue, peer = air.ues[asker], air.ues[1 - asker]
    old = set(current(a, b))
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old else [frame]
    ue.entity.rekey(peer.uri, air.now)
    for _ in range(60):
        assert_works(a, b, air)
    assert set(current(a, b)) == old and not a.of(Rekeyed) and not b.of(Rekeyed)
    air.pass_on = lambda frame: [frame]
    air.run(2.5)
    assert len(set(current(a, b)) - old) == 1 and len(a.of(Rekeyed)) == len(b.of(Rekeyed)) == 1
    assert_works(a, b, air)


def test_row_47_the_confirm_comes_at_doubled_intervals():
    a, b, air = linked(policy=NONCES)
    old = set(current(a, b))
    sent_at = []

    def lose(frame):
        if frame.kd_sess_id in old:
            return [frame]
        sent_at.append(air.mono_s)
        return []

    air.pass_on = lose
    a.entity.rekey(B, air.now)
    air.run(9)
    gaps = [round(later - earlier, 3) for earlier, later in pairwise(sent_at)]
    assert gaps == [0.3, 0.6, 1.2, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("asker", [0, 1])
def test_row_47_an_end_that_keeps_a_context_asks_itself(asker):
    """Its own good Response shows that the peer has not gone over: the context that it kept is dropped."""
    _a, _b, air = linked(policy=NONCES)
    ue, peer = air.ues[asker], air.ues[1 - asker]
    responses = lambda frame: frame.lcid == 30 and frame.src_l2 == peer.l2_id  # noqa: E731
    air.pass_on = lambda frame: [] if responses(frame) else [frame]
    ue.entity.rekey(peer.uri, air.now)
    while not ue.of(RekeyFailed):
        air.run(0.1)
    assert [event.why for event in ue.of(RekeyFailed)] == ["T4100, none left"]
    kept = link_of(peer).rekey.kept.made.kd_sess_id
    assert link_of(peer).rekey.state is RekeyState.AWAIT_CONFIRM and kept in link_of(peer).keys.contexts
    assert_rekeys(peer, ue, air)
    assert kept not in link_of(peer).keys.contexts and link_of(peer).rekey.state is RekeyState.NONE


def test_row_47_a_late_confirm_closes_the_own_request():
    a, b, air = linked(policy=NONCES)
    old = set(current(a, b))
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old else [frame]
    a.entity.rekey(B, air.now)
    air.run(1.0)
    b.entity.rekey(A, air.now)
    air.run(0.1)
    assert link_of(b).rekey.state is RekeyState.ASK_WHILE_AWAITING
    assert drops(a, "rekeying request") == ["own Confirm has no Ack yet"]
    air.pass_on = lambda frame: [frame]
    air.run(2.5)
    assert len(a.of(Rekeyed)) == len(b.of(Rekeyed)) == 1
    assert link_of(b).rekey.state is RekeyState.NONE and not link_of(b).rekey.own.request_octets
    assert_rekeys(b, a, air)


def test_row_47_a_delayed_request_takes_nothing_back():
    """The peer has asked again since: a late copy of its first Request must not strand the second one's context."""
    a, b, air = linked(policy=NONCES)
    held = []

    def hold(frame):
        if frame.lcid == 30 and frame.src_l2 == a.l2_id:
            held.append(frame)
        return [] if frame.lcid == 30 else [frame]

    air.pass_on = hold
    a.entity.rekey(B, air.now)
    air.run(0.1)
    (first,) = held
    while not a.of(RekeyFailed):
        air.run(0.1)
    old = set(current(a, b))
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old else [frame]
    a.entity.rekey(B, air.now, new_kd=True)
    air.run(0.1)
    kept = link_of(b).rekey.kept.made.kd_sess_id
    assert kept
    air.inject(first)
    air.run(0.1)
    assert drops(b, "rekeying request") == ["older than the request answered"]
    assert link_of(b).rekey.kept.made.kd_sess_id == kept
    air.pass_on = lambda frame: [frame]
    air.run(3)
    assert current(a, b) == [kept, kept]
    assert_works(a, b, air)


@pytest.mark.parametrize("releaser", [0, 1])
@pytest.mark.parametrize("lost", ["confirms", "acks"])
def test_row_47_a_release_finds_the_peer_on_either_context(releaser, lost):
    a, b, air = linked(policy=NONCES)
    old = set(current(a, b))
    src = a.l2_id if lost == "confirms" else b.l2_id
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old and frame.src_l2 == src else [frame]
    a.entity.rekey(B, air.now)
    air.run(1)
    assert link_of(a).rekey.state is RekeyState.CONFIRMING
    air.pass_on = lambda frame: [frame]
    ue, peer = air.ues[releaser], air.ues[1 - releaser]
    ue.entity.release(peer.uri, air.now)
    air.run(2)
    assert a.holds_nothing() and b.holds_nothing()
    assert [event.agreed for one in (a, b) for event in one.of(LinkReleased)] == [True, True]
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("thief", [0, 1])
@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (encode(Release(sequence_number=9, reason=ReleaseReason.NO_LONGER_NEEDED)), "release"),
        (encode(Keepalive(sequence_number=9, counter=1)), "keepalive"),
        (encode(RekeyingTrigger(sequence_number=9)), "rekeying trigger"),
        (None, "rekeying request"),
    ],
)
def test_row_48_commands_under_the_old_context(thief, octets, name):
    a, b, air = linked(policy=NONCES)
    sender, receiver = air.ues[thief], air.ues[1 - thief]
    old_id, old_tx = link_of(a).keys.current_id, link_of(a).keys.tx
    a.entity.rekey(B, air.now)
    air.run(0.3)
    octets = octets or request(sender, receiver, air, previous_tx=old_tx)
    under(air, sender, receiver, octets, old_id)
    assert drops(receiver, name) == [BEFORE]
    assert receiver.states() == ["established"] and link_of(receiver).rekey.state is RekeyState.NONE
    air.inject(sender.protect(receiver.l2_id, 4, old_id, b"still under way"))
    air.run(0.1)
    assert receiver.user_data == [b"still under way"]
    assert_rekeys(a, b, air)


@pytest.mark.parametrize("asker", [0, 1])
def test_row_48_nothing_but_the_confirm_on_the_new_context(asker):
    """At the end that answers: neither commands nor user data before it."""
    a, b, air = linked(policy=NONCES)
    ue, peer = air.ues[asker], air.ues[1 - asker]
    old = set(current(a, b))
    air.pass_on = lambda frame: [] if frame.kd_sess_id not in old else [frame]
    ue.entity.rekey(peer.uri, air.now)
    air.run(0.1)
    new_id = link_of(ue).rekey.own.made.kd_sess_id
    under(air, ue, peer, encode(Release(sequence_number=9, reason=ReleaseReason.NO_LONGER_NEEDED)), new_id)
    under(air, ue, peer, encode(Keepalive(sequence_number=9, counter=0, confirmation=bytes(16))), new_id)
    air.inject(ue.protect(peer.l2_id, 4, new_id, b"too early"))
    air.run(0.1)
    assert drops(peer, "release") == ["the context waits for its Confirm"]
    assert drops(peer, "keepalive") == []
    assert drops(peer, "confirm") == ["key confirmation differs"]
    assert peer.user_data == [] and peer.pdcp_drops == ["user data not admitted"]
    air.pass_on = lambda frame: [frame]
    air.run(2.5)
    assert current(a, b) == [new_id, new_id]
    assert_works(a, b, air)
