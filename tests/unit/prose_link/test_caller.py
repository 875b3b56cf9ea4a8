"""When a UE calls the peer it is configured for: once met, again when the link is lost, with pauses when refused."""

from prose_link.caller import FIRST_PAUSE_S, LONGEST_PAUSE_S, Caller
from prose_link.config import LinkSection
from prose_link.discovery.events import PeerDiscovered, PeerLost

PEER, PEER_L2, PEER_INFO = "tel:+447700900002", 0x5C1B02, 7


def caller(**section: object) -> Caller:
    return Caller(LinkSection.model_validate({"connect_to": PEER, "peer_user_info_id": PEER_INFO} | section))


def seen(user_info_id: int = PEER_INFO, l2_id: int = PEER_L2) -> PeerDiscovered:
    return PeerDiscovered(message="m", scope_id=1, user_info_id=user_info_id, prose_ue_id=l2_id, verified=True)


def gone() -> PeerLost:
    return PeerLost(message="m", scope_id=1, user_info_id=PEER_INFO, prose_ue_id=PEER_L2)


def test_the_peer_is_called_once_it_is_met_and_only_once() -> None:
    one = caller()
    one.met(seen(user_info_id=8))
    assert not one.due(1.0)
    one.met(seen())
    assert [one.due(1.0), one.due(2.0)] == [PEER_L2, 0]


def test_a_peer_known_beforehand_is_called_after_its_time() -> None:
    one = caller(peer_l2=PEER_L2, connect_after_s=0.5)
    assert [one.due(0.4), one.due(0.5)] == [0, PEER_L2]


def test_a_lost_link_is_called_back_at_once_and_a_superseded_one_is_left() -> None:
    one = caller()
    one.met(seen())
    assert one.due(0.0)
    one.linked(PEER)
    one.link_lost("tel:+447700900009")
    assert not one.due(5.0)
    one.link_lost(PEER)
    assert one.due(5.0) == PEER_L2
    one.linked(PEER)
    one.link_lost(PEER)
    one.linked(PEER)
    assert not one.due(6.0)


def test_pauses_double_after_calls_that_fail_and_a_link_makes_them_short_again() -> None:
    one, now_s, pauses = caller(), 0.0, []
    one.met(seen())
    for _ in range(7):
        assert one.due(now_s)
        one.call_failed(PEER, now_s)
        began_s = now_s
        while not one.due(now_s):
            now_s += 0.5
        pauses.append(now_s - began_s)
        one.call_failed(PEER, now_s)
        one.met(seen())
        now_s += LONGEST_PAUSE_S
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses == sorted(pauses) and pauses[-1] == LONGEST_PAUSE_S
    one.linked(PEER)
    one.link_lost(PEER)
    now_s += LONGEST_PAUSE_S
    assert one.due(now_s)
    one.call_failed(PEER, now_s)
    assert one.due(now_s + FIRST_PAUSE_S)


def test_a_call_of_the_peers_that_fails_does_not_make_a_second_link() -> None:
    one = caller()
    one.met(seen())
    one.linked(PEER)
    one.call_failed(PEER, 1.0)
    assert not one.due(100.0)


def test_who_is_not_heard_any_more_is_not_called_until_met_again() -> None:
    one = caller()
    one.met(seen())
    one.lost_sight(gone())
    assert not one.due(1.0)
    one.met(seen(l2_id=0x5C1B03))
    assert one.due(2.0) == 0x5C1B03
    known = caller(peer_l2=PEER_L2, connect_after_s=0.0)
    known.lost_sight(gone())
    assert known.due(1.0) == PEER_L2


def test_a_ue_told_to_connect_to_nobody_calls_nobody() -> None:
    one = Caller(LinkSection())
    one.met(seen(user_info_id=0))
    assert not one.due(1.0)
