"""Two PC5-S entities over a clean and a lossy air."""

import pytest

from prose_link.pc5s.core.events import LinkEstablished, LinkFailed, LinkReleased, RequestReceived
from prose_link.pc5s.core.policy import LinkPolicy, MutualGive
from prose_link.pc5s.wire.messages import DirectAccept, DirectRequest, Kdf, Mutual
from tests.benches.pc5s_bench import A, B, linked, pair


@pytest.mark.parametrize("ask", list(Mutual))
@pytest.mark.parametrize("kdf", list(Kdf))
def test_link_comes_up_and_carries_data_both_ways(ask, kdf):
    a, b, air = linked(policy=LinkPolicy(mutual_ask=ask, kdfs=(kdf,)))
    (at_a,), (at_b,) = a.of(LinkEstablished), b.of(LinkEstablished)
    assert (at_a.peer, at_b.peer) == (B, A)
    assert at_a.kd_sess_id == at_b.kd_sess_id
    assert at_a.mutual is at_b.mutual is (ask is not Mutual.NOT_WANTED)
    assert air.send_user_data(a, b, b"to b")
    assert air.send_user_data(b, a, b"to a")
    air.run()
    assert (a.user_data, b.user_data) == ([b"to a"], [b"to b"])
    (request,), (accept,) = air.sent(DirectRequest), air.sent(DirectAccept)
    assert 600 < len(request.data) < 800
    assert len(accept.data) < 800
    (received,) = b.of(RequestReceived)
    assert (received.octets, received.accept_octets) == (len(request.data), len(accept.data))


def test_no_user_data_before_the_link_is_established():
    a, b, air = pair()
    air.connect(a, b)
    assert not air.send_user_data(a, b, b"early")
    air.run(0.05)
    assert b.states() == ["provisional"]
    assert not air.send_user_data(b, a, b"early")


def test_release_ends_both_ends_and_leaves_nothing():
    a, b, air = linked()
    a.entity.release(B, air.now)
    air.run(5)
    assert a.of(LinkReleased)[0].why == "Release Accept received"
    assert b.of(LinkReleased)[0].why == "released by the peer"
    assert a.holds_nothing() and b.holds_nothing()


def test_nobody_answers():
    a, b, air = pair()
    air.pass_on = lambda frame: []
    air.connect(a, b)
    air.run(20)
    assert len(air.sent(DirectRequest)) == a.config.timers.n4100
    assert len({frame.data for frame in air.log}) == 1
    (failed,) = a.of(LinkFailed)
    assert failed.cause is None
    assert a.holds_nothing()


def test_keepalives_keep_the_link_and_their_loss_ends_it():
    a, b, air = linked()
    air.run(120)
    assert a.states() == b.states() == ["established"]
    air.pass_on = lambda frame: []
    air.run(60)
    assert a.holds_nothing() and b.holds_nothing()
    assert a.of(LinkReleased) and b.of(LinkReleased)


def test_responder_that_never_gives_makes_a_one_way_link():
    a, b, _ = linked(b={"policy": LinkPolicy(mutual_give=MutualGive.NEVER)})
    assert not a.of(LinkEstablished)[0].mutual
    assert not b.of(LinkEstablished)[0].mutual
