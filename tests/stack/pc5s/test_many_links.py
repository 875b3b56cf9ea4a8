"""A UE with as many links as it may have, each with its own context, over whole entities; both profiles."""

from dataclasses import replace

import pytest

from prose_link.pc5s.core.events import LinkEstablished, LinkFailed, RequestRefused
from prose_link.pc5s.core.link import MAX_ESTABLISHED
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.wire.messages import Cause
from tests.benches.attack_bench import assert_works
from tests.benches.pc5s_bench import L2, A, Air, B, C, Ue, at


@pytest.fixture(params=list(Profile))
def policy(request):
    return LinkPolicy(profile=request.param)


def crowd(policy, n):
    return [Ue(f"tel:+4477009000{number:02d}", l2_id=0x100000 + number, policy=policy) for number in range(10, 10 + n)]


def full_hub(policy, *, hub_asks):
    """A hub with as many links as it may have, and one UE more."""
    hub = Ue(A, policy=policy)
    *others, late = crowd(policy, MAX_ESTABLISHED + 1)
    air = Air(hub, *others, late)
    for other in others:
        air.connect(*((hub, other) if hub_asks else (other, hub)))
        air.run(0.3)
    assert hub.states() == ["established"] * MAX_ESTABLISHED
    return hub, others, late, air


@pytest.mark.parametrize("hub_asks", [True, False])
def test_thirty_two_links_at_once_each_with_its_own_context(policy, hub_asks):
    hub, others, _late, air = full_hub(policy, hub_asks=hub_asks)
    assert len({id(link.context) for link in hub.entity.links}) == MAX_ESTABLISHED
    for number, other in enumerate(others):
        assert air.send_user_data(hub, other, bytes([number])) and air.send_user_data(other, hub, bytes([number]))
    air.run(0.2)
    assert [other.user_data for other in others] == [[bytes([number])] for number in range(MAX_ESTABLISHED)]
    assert sorted(hub.user_data) == [bytes([number]) for number in range(MAX_ESTABLISHED)]
    assert not hub.pdcp_drops


def test_no_context_opens_what_another_one_sealed(policy):
    hub, others, _late, air = full_hub(policy, hub_asks=False)
    contexts = [link.context for link in hub.entity.links]
    macs = {context._integrity.mac(1, 4, 0, b"probe") for context in contexts}
    assert len(macs) == MAX_ESTABLISHED
    hub.entity.release(others[5].uri, air.now)
    air.run(3)
    assert len(hub.entity.links) == MAX_ESTABLISHED - 1
    assert_works(hub, others[6], air)


def test_the_thirty_third_is_refused_for_lack_of_resources(policy):
    hub, others, late, air = full_hub(policy, hub_asks=False)
    air.connect(late, hub)
    air.run(9)
    assert [(event.cause, event.why) for event in hub.of(RequestRefused)] == [
        (Cause.LACK_OF_RESOURCES, "no room for a link")
    ]
    assert late.of(LinkFailed)[0].cause == Cause.LACK_OF_RESOURCES and late.holds_nothing()
    hub.entity.connect(at(late.uri, late.l2_id), air.now)
    air.run(0.1)
    assert hub.of(LinkFailed)[-1].why == "no room for a link"
    assert hub.states() == ["established"] * MAX_ESTABLISHED
    others[0].entity.release(A, air.now)
    air.run(3)
    air.connect(late, hub)
    air.run(1)
    assert late.of(LinkEstablished)
    assert_works(late, hub, air)


def test_a_peer_that_asks_again_takes_its_own_place(policy):
    hub, others, _late, air = full_hub(policy, hub_asks=False)
    reborn = Ue(others[0].uri, l2_id=others[0].l2_id, policy=policy, seed="second life")
    air.ues[1] = reborn
    air.connect(reborn, hub)
    air.run(1)
    assert reborn.of(LinkEstablished) and hub.states() == ["established"] * MAX_ESTABLISHED
    assert_works(reborn, hub, air)


def test_row_38_equal_kd_sess_ids_with_two_peers(policy):
    """Both contexts bear one KD-sess ID at B: only the layer-2 ids tell them apart, and that is enough."""
    a, b, c = (Ue(uri, policy=policy) for uri in (A, B, C))
    air = Air(a, b, c)
    a.entity._desk.links.draw_msb = c.entity._desk.links.draw_msb = lambda *_: 0x55
    b.entity._desk.links.draw_lsb = lambda *_: 0x07
    for ue in (a, c):
        air.connect(ue, b)
    air.run(1)
    assert [link.keys.current_id for link in b.entity.links] == [0x5507, 0x5507]
    first, second = (b.entity.context(L2[uri], 0x5507) for uri in (A, C))
    assert first is not second
    assert first._integrity.mac(1, 4, 0, b"probe") != second._integrity.mac(1, 4, 0, b"probe")
    for ue in (a, c):
        assert_works(ue, b, air)
    posing = c.protect(b.l2_id, 4, 0x5507, b"posing as the other")
    assert posing is not None
    air.inject(replace(posing, src_l2=L2[A]))
    air.run(0.1)
    assert b.pdcp_drops == ["IntegrityFailure"]
    a.entity.release(B, air.now)
    air.run(3)
    assert_works(c, b, air)
