"""Requests that collide with recorded, delayed or rejected ones, by the numbers of the profile's test matrix."""

import pytest

from prose_link.pc5s.core.events import (
    Dropped,
    LinkEstablished,
    LinkFailed,
    LinkProvisional,
    ProvisionalEnded,
    RejectReceived,
    RequestYielded,
)
from prose_link.pc5s.core.fsm import Input
from prose_link.pc5s.core.policy import LinkPolicy, MutualGive
from prose_link.pc5s.wire.codec import encode
from prose_link.pc5s.wire.messages import Cause, DirectAccept, DirectReject, Mutual
from tests.benches.attack_bench import assert_genuine_exchange, assert_works, refusals
from tests.benches.pc5s_bench import L2, A, B, forged_request, linked, pair, plain


def request_of(sender, target, air, *, than=None, greater=True, **options):
    """A DCR that the sender has made at some time, with H(T1) on one side of another's."""
    while True:
        built = forged_request(sender, target, air, **options)
        if than is None or (built.asked.t1_hash > than) is greater:
            return built


def reject_of(own, cause=Cause.NOT_ALLOWED):
    return encode(DirectReject(sequence_number=1, cause=cause, request_hash=own.asked.request_hash[:8]))


def deliver(air, octets, src, dst):
    air.inject(plain(octets, L2[src], L2[dst]), after_s=0)


@pytest.mark.parametrize("older_by_s", [0.0, 0.5, 100.0])
def test_row_50_an_older_request_that_never_came_does_not_take_the_newer_ones_place(older_by_s):
    """Lost, delayed by a core, or recorded while B was away: it comes between the newer one's DCA and its Confirm."""
    a, b, air = pair()
    older = request_of(a, b, air, ntp_s=air.now.ntp_s - older_by_s)
    air.pass_on = lambda frame: [] if frame.kd_sess_id else [frame]
    air.connect(a, b)
    air.run(0.05)
    assert b.states() == ["provisional"]
    for _ in range(3):
        deliver(air, older.octets, A, B)
        air.run(0.1)
    assert refusals(b) == [(11, None, "a later request of this peer is pending")]
    assert [event.why for event in b.of(Dropped)] == ["same request, passed over for now"] * 2
    assert len(b.record) == 1 and len(b.of(LinkProvisional)) == 1
    air.pass_on = lambda frame: [frame]
    air.run(1)
    assert a.states() == b.states() == ["established"] and len(a.of(LinkEstablished)) == 1
    assert_works(a, b, air)
    assert_genuine_exchange(a, b, air)


def test_row_50_the_older_one_gets_its_turn_when_nothing_comes_of_the_newer_one():
    """A second device of A asked first, but was heard later."""
    a, b, air = pair()
    older = request_of(a, b, air, ntp_s=air.now.ntp_s - 1)
    deliver(air, request_of(a, b, air).octets, A, B)
    air.run(0.1)
    deliver(air, older.octets, A, B)
    air.run(6.5)
    assert b.holds_nothing() and len(b.record) == 1
    deliver(air, older.octets, A, B)
    air.run(0.1)
    assert b.states() == ["provisional"] and len(b.record) == 2
    air.run(7)
    assert_genuine_exchange(a, b, air)


def test_row_50_a_later_request_takes_the_place_of_an_older_one():
    a, b, air = pair()
    deliver(air, request_of(a, b, air, ntp_s=air.now.ntp_s - 1).octets, A, B)
    air.run(0.1)
    air.connect(a, b)
    air.run(0.5)
    assert [event.why for event in b.of(ProvisionalEnded)] == [Input.REPLACED.value]
    assert a.states() == b.states() == ["established"]
    assert_works(a, b, air)


@pytest.mark.parametrize("greater", [True, False])
@pytest.mark.parametrize("rejected", [False, True])
@pytest.mark.parametrize("deaf_s", [0.0, 2.0])
def test_row_51_a_recorded_request_of_the_target_does_not_end_ones_own(greater, rejected, deaf_s):
    """B has none open: X has recorded it, and can forge a Reject besides. B hears A at once, or after a while."""
    a, b, air = pair()
    recorded = request_of(b, a, air)
    air.pass_on = lambda frame: []
    while True:
        air.connect(a, b)
        air.run(0.001)
        (own,) = a.entity.links
        if (recorded.asked.t1_hash > own.asked.t1_hash) is greater:
            break
        a.entity.release(B, air.now)
        air.run(0.1)
    a.events.clear()
    if rejected:
        deliver(air, reject_of(own), B, A)
    deliver(air, recorded.octets, B, A)
    air.run(0.05)
    air.run(deaf_s)
    assert len(a.of(LinkProvisional)) == (greater or rejected)
    assert [why for _, _, why in refusals(a)] == ([] if greater or rejected else ["collision: own request stands"])
    air.pass_on = lambda frame: [frame]
    air.run(8)
    assert a.states() == b.states() == ["established"]
    assert a.entity.links[0].initiator and not a.of(RequestYielded) and not a.of(LinkFailed)
    assert_works(a, b, air)
    air.run(5)
    assert_genuine_exchange(a, b, air)


@pytest.mark.parametrize("rejected", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("lost", [(), (2,), (3,), (4,), (5,), (2, 3), (3, 4), (4, 5), (2, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("seed", range(4))
def test_row_51_both_ask_and_rejects_are_forged(rejected, lost, seed):
    """Whichever request is named by a Reject, and whichever PDUs are lost: one link, that both have."""
    a, b, air = pair(seed=f"{seed}")
    numbers = iter(range(10_000))
    air.pass_on = lambda frame: [] if next(numbers) in lost else [frame]
    for ue, peer in ((a, b), (b, a)):
        air.connect(ue, peer)
    air.run(0.001)
    for which in rejected:
        ue, peer = air.ues[which], air.ues[1 - which]
        deliver(air, reject_of(ue.entity.links[0]), peer.uri, ue.uri)
    air.run(14)
    assert a.states() == b.states() == ["established"]
    (one,), (other,) = a.entity.links, b.entity.links
    assert one.asked.request_hash == other.asked.request_hash and one.keys.current_id == other.keys.current_id
    assert len(a.of(LinkEstablished)) == len(b.of(LinkEstablished)) == 1
    assert_works(a, b, air)


@pytest.mark.parametrize("seed", range(6))
def test_both_ask_and_one_refuses_to_be_asked(seed):
    """B's policy refuses A's request, which is the greater one; A answers B's."""
    a, b, air = pair(
        seed=f"refuses {seed}",
        a={"policy": LinkPolicy(mutual_ask=Mutual.REQUIRED)},
        b={"policy": LinkPolicy(mutual_give=MutualGive.NEVER, mutual_ask=Mutual.NOT_WANTED)},
    )
    air.connect(a, b)
    air.connect(b, a)
    air.run(14)
    assert [event.cause for event in a.of(RejectReceived)][:1] == [Cause.MUTUAL_AUTHENTICATION_POLICY]
    assert a.states() == b.states() == ["established"] and b.entity.links[0].initiator
    assert_works(a, b, air)


def test_a_request_that_collides_is_verified_once():
    a, b, air = pair()
    air.pass_on = lambda frame: []
    air.connect(a, b)
    air.run(0.001)
    smaller = request_of(b, a, air, than=a.entity.links[0].asked.t1_hash, greater=False)
    verified = []
    verify = a.credentials.verify
    a.credentials.verify = lambda i_message: (verified.append(1), verify(i_message))
    for _ in range(5):
        deliver(air, smaller.octets, B, A)
        air.run(0.1)
    assert len(verified) == 1 and not air.sent(DirectAccept, by=a)
    assert [why for _, _, why in refusals(a)] == ["collision: own request stands"]
    assert [event.why for event in a.of(Dropped)] == ["same request, passed over for now"] * 4


def test_a_request_with_this_ues_own_layer_2_id_is_not_answered_on_any_carrier():
    a, b, air = linked()
    for carrier in ("direct", "ims", "eps"):
        forged = request_of(a, b, air, link_l2_id=L2[B]).octets
        air.inject(plain(forged, L2[B], L2[B], carrier), after_s=0)
    air.run(0.1)
    assert refusals(b) == [(2, None, "layer-2 id is this UE's own")] * 3
    assert not air.sent(DirectReject, by=b)
    assert_works(a, b, air)
