"""One UE with as many links as it may have: each with a context of its own, and no more than 32."""

from prose_link.pc5s.core.events import LinkEstablished, LinkFailed
from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.link import MAX_ESTABLISHED
from tests.benches.pc5s_bench import A, Air, Ue

FIRST_L2 = 0x0C0100


def test_thirty_two_links_carry_data_and_end_one_by_one():
    hub = Ue(A)
    peers = [Ue(f"tel:+4477009001{i:02d}", l2_id=FIRST_L2 + i) for i in range(MAX_ESTABLISHED + 1)]
    air = Air(hub, *peers)
    for peer in peers:
        air.connect(hub, peer)
        air.run(0.6)
    up = hub.of(LinkEstablished)
    assert [event.peer for event in up] == [peer.uri for peer in peers[:-1]]
    (refused,) = hub.of(LinkFailed)
    assert (refused.peer, refused.why) == (peers[-1].uri, "no room for a link")
    contexts = [context for link in hub.entity.links for context in link.keys.contexts.values()]
    assert len({context.kd_sess_id >> 8 for context in contexts}) == len(contexts) == MAX_ESTABLISHED
    for round_ in range(2):
        for peer in peers[:-1]:
            assert air.send_user_data(hub, peer, b"to %d" % peer.l2_id)
            assert air.send_user_data(peer, hub, b"back %d" % round_)
    air.run(0.5)
    for peer in peers[:-1]:
        assert peer.user_data == [b"to %d" % peer.l2_id] * 2
    first, second, *_ = peers
    hub.entity.release(first.uri, air.now)
    air.run(3.0)
    assert len(hub.entity.links) == MAX_ESTABLISHED - 1
    assert all(link.state is State.ESTABLISHED for link in hub.entity.links)
    assert not air.send_user_data(hub, first, b"too late")
    assert air.send_user_data(hub, second, b"still there")
    air.connect(hub, peers[-1])
    air.run(0.6)
    assert hub.of(LinkEstablished)[-1].peer == peers[-1].uri
