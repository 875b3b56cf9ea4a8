"""Both ends at once, the same thing twice, one address for two, and peers that start anew; in both profiles."""

from itertools import count

import pytest

from prose_link.pc5s.core.events import LinkEstablished, LinkFailed, LinkProvisional, LinkReleased, RequestYielded
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.wire.messages import Cause
from tests.benches.attack_bench import assert_works
from tests.benches.pc5s_bench import L2, A, Air, B, C, Ue, at, linked, pair


@pytest.fixture(params=list(Profile))
def policy(request):
    return LinkPolicy(profile=request.param)


def losing(air, lost):
    """Lose the PDUs of these numbers, counted from now on."""
    numbers = count()
    air.pass_on = lambda frame: [] if next(numbers) in lost else [frame]


@pytest.mark.parametrize("lost", [(), (0,), (1,), (0, 1), (2,), (3,), (2, 3), (4, 5)])
@pytest.mark.parametrize("first", [0, 1])
def test_both_connect_at_once(policy, lost, first):
    a, b, air = pair(policy=policy)
    losing(air, lost)
    one, other = (a, b) if first == 0 else (b, a)
    air.connect(one, other)
    air.run(0.005)
    air.connect(other, one)
    air.run(12)
    assert a.states() == b.states() == ["established"]
    assert len(a.of(RequestYielded)) + len(b.of(RequestYielded)) == 1
    assert a.entity.links[0].keys.current_id == b.entity.links[0].keys.current_id
    assert a.entity.links[0].initiator is not b.entity.links[0].initiator
    assert_works(a, b, air)


@pytest.mark.parametrize("releaser", [0, 1])
@pytest.mark.parametrize("rekeyer", [0, 1])
@pytest.mark.parametrize("gap_s", [-0.07, -0.05, -0.03, -0.01, 0.0, 0.01, 0.03, 0.05, 0.07])
@pytest.mark.parametrize("lost", [(), (0,), (1,), (2,), (1, 2)])
def test_release_against_rekey(policy, releaser, rekeyer, gap_s, lost):
    """Whatever comes first and whatever is lost, the release wins at both ends, and nothing is left of either.

    In the `ts24334` profile a rekey is a new Request: if the other end's crosses the Release, it may make a new link.
    """
    _a, _b, air = linked(policy=policy)
    one, other = air.ues[rekeyer], air.ues[releaser]
    steps = [
        (lambda: one.entity.rekey(air.ues[1 - rekeyer].uri, air.now)),
        (lambda: other.entity.release(air.ues[1 - releaser].uri, air.now)),
    ]
    losing(air, lost)
    first, second = steps if gap_s >= 0 else reversed(steps)
    first()
    if gap_s:
        air.run(abs(gap_s))
    second()
    air.run(20)
    if policy.profile is Profile.TS24334 and rekeyer != releaser and air.ues[0].states():
        (at_one,), (at_other,) = (ue.entity.links for ue in air.ues)
        assert at_one.keys.current_id == at_other.keys.current_id
        a, b = air.ues
        assert_works(a, b, air)
    else:
        assert all(ue.holds_nothing() for ue in air.ues)


@pytest.mark.parametrize("after_s", [0.01, 0.03, 0.045, 0.05, 0.065, 0.07])
@pytest.mark.parametrize("lost", [(), (0,), (1,), (0, 1)])
def test_release_of_a_link_that_is_coming_up(policy, after_s, lost):
    a, b, air = pair(policy=policy)
    air.connect(a, b)
    air.run(after_s)
    losing(air, lost)
    a.entity.release(B, air.now)
    air.run(10)
    assert a.holds_nothing() and b.holds_nothing()


@pytest.mark.parametrize("gap_s", [0.0, 0.01, 0.03])
def test_both_release_and_both_rekey_at_once(policy, gap_s):
    a, b, air = linked(policy=policy)
    a.entity.rekey(B, air.now)
    b.entity.rekey(A, air.now)
    air.run(gap_s)
    a.entity.release(B, air.now)
    b.entity.release(A, air.now)
    air.run(20)
    assert a.holds_nothing() and b.holds_nothing()


def test_duplicate_requests_make_one_link(policy):
    a, b, air = pair(policy=policy)
    air.pass_on = lambda frame: [frame] * (4 if frame.kd_sess_id == 0 else 1)
    air.connect(a, b)
    air.connect(a, b)
    air.run(1)
    assert len(b.of(LinkProvisional)) == len(b.of(LinkEstablished)) == len(a.of(LinkEstablished)) == 1
    request = air.log[0]
    for _ in range(5):
        air.inject(request)
    air.run(1)
    assert a.states() == b.states() == ["established"] and len(b.of(LinkProvisional)) == 1
    assert_works(a, b, air)


def test_every_pdu_comes_three_times(policy):
    a, b, air = pair(policy=policy)
    air.pass_on = lambda frame: [frame] * 3
    air.connect(a, b)
    air.run(1)
    assert len(a.of(LinkEstablished)) == len(b.of(LinkEstablished)) == 1
    assert_works(a, b, air)


def test_layer_2_id_of_another_peer_is_a_conflict(policy):
    a, b, air = linked(policy=policy)
    c = Ue(C, l2_id=L2[A], policy=policy)
    air.ues = [c, b]
    air.connect(c, b)
    air.run(20)
    assert c.of(LinkFailed)[0].cause == Cause.L2_ID_CONFLICT and c.holds_nothing()
    air.ues = [a, b]
    assert b.states() == ["established"]
    assert_works(a, b, air)


def test_layer_2_id_of_the_responder_itself_is_never_taken(policy):
    b, twin = Ue(B, policy=policy), Ue(C, l2_id=L2[B], policy=policy)
    air = Air(b)
    twin.entity.connect(at(B, L2[B]), air.now)
    for pdu in twin.entity.pdus_to_send(air.now):
        air.inject(twin.protect(pdu.dst_l2, pdu.lcid, pdu.kd_sess_id, pdu.data))
    air.run(0.1)
    why = {Profile.IDENTITY: "layer-2 id is this UE's own", Profile.TS24334: "layer-2 id is taken"}[policy.profile]
    assert b.entity.counters[why] == 1
    assert not b.entity.links


@pytest.mark.parametrize("asks", [0, 1])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_peer_that_restarts_gets_fresh_keys_and_the_old_link_stays_until_the_confirm(policy, victim, asks):
    """Whichever end asks: the old link ends when the new one is proven, not at a Request that may be a replay."""
    _a, _b, air = linked(policy=policy)
    stayed, killed = air.ues[1 - victim], air.ues[victim]
    old_link = stayed.entity.links[0]
    old_mac = old_link.context._integrity.mac(1, 4, 0, b"probe")
    reborn = Ue(killed.uri, record=killed.record, policy=policy, seed="second life")
    air.ues[victim] = reborn
    stayed.events.clear()
    asker, asked = (reborn, stayed) if asks == 0 else (stayed, reborn)
    protected_by_asker = lambda frame: frame.kd_sess_id and frame.src_l2 == asker.l2_id  # noqa: E731
    air.pass_on = lambda frame: [] if protected_by_asker(frame) else [frame]
    air.connect(asker, asked)
    air.run(0.2)
    assert old_link in stayed.entity.links and old_link.state.value == "established" and old_link.keys.contexts
    assert not stayed.of(LinkReleased) and not reborn.of(LinkEstablished)
    air.pass_on = lambda frame: [frame]
    air.run(4)
    assert stayed.states() == reborn.states() == ["established"]
    assert [event.why for event in stayed.of(LinkReleased)] == ["superseded by a new link with the peer"]
    (new_link,) = stayed.entity.links
    assert new_link is not old_link and not old_link.keys.contexts and not old_link.keys.kd_next
    assert new_link.context._integrity.mac(1, 4, 0, b"probe") != old_mac
    a, b = air.ues
    assert_works(a, b, air)
