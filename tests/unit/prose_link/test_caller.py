"""Whom a UE calls and when: each peer of several on its own."""

import pytest

from prose_link.config.link import LinkSection, PeerEntry
from prose_link.pc5s.core.timers import TimerValues
from prose_link.pc5s.wire.party import by_radio
from prose_link.ue.caller import FIRST_PAUSE_S, LONGEST_PAUSE_S, Caller

B, C = "tel:+447700900002", "tel:+447700900003"
L2_B, L2_C = 0x0B0002, 0x0C0003


def due(caller, now_s, resolve=lambda _number: None):
    """(identity, layer-2 id) of each peer to call, where a radio reaches any peer whose id it knows."""
    radio = TimerValues().direct

    def reach(carrier, identity, l2_id):
        assert carrier == "direct"
        return by_radio(radio, identity, l2_id) if l2_id else None

    return [(party.identity, party.l2_id) for party in caller.take_due_calls(now_s, reach, resolve)]


@pytest.fixture
def caller():
    peers = (PeerEntry(identity=B, user_info_id=2), PeerEntry(identity=C, l2_id=L2_C))
    return Caller(LinkSection(peers=peers, connect_after_s=0.5))


def met(caller):
    caller.met(2, L2_B)


def test_each_is_called_once_it_can_be(caller):
    assert due(caller, 0.1) == []
    met(caller)
    assert due(caller, 0.2) == [(B, L2_B)]
    assert due(caller, 0.6) == [(C, L2_C)]
    assert due(caller, 9.0) == []


def test_a_lost_link_is_called_at_once_a_refused_one_later_and_later(caller):
    met(caller)
    assert len(due(caller, 1.0)) == 2
    caller.linked(B)
    caller.link_lost(B)
    assert due(caller, 1.0) == [(B, L2_B)]
    now_s, pauses = 1.0, []
    for _ in range(7):
        caller.call_failed(C, now_s)
        began_s = now_s
        while not due(caller, now_s):
            now_s += 0.5
        pauses.append(now_s - began_s)
    assert pauses == [FIRST_PAUSE_S, 2.0, 4.0, 8.0, 16.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    caller.linked(C)
    caller.link_lost(C)
    caller.call_failed(C, now_s)
    assert due(caller, now_s + FIRST_PAUSE_S) == [(C, L2_C)]


def test_who_is_out_of_sight_is_not_called_unless_its_id_is_configured(caller):
    met(caller)
    for l2_id in (L2_B, L2_C):
        caller.lost_sight(l2_id)
    assert due(caller, 1.0) == [(C, L2_C)]


def test_whoever_called_there_is_one_link(caller):
    met(caller)
    assert len(due(caller, 1.0)) == 2
    caller.linked(B)
    caller.call_failed(B, 1.0)
    assert due(caller, 100.0) == []
    caller.link_lost(B)
    caller.linked(B)
    assert due(caller, 100.0) == [], "a new link took the place of the old one"


def test_a_peer_is_called_where_it_was_last_met_and_strangers_are_not(caller):
    caller.met(7, 0x0E0005)
    caller.met(0, 0x0E0006)
    assert due(caller, 0.1) == []
    met(caller)
    caller.met(2, 0x0B0099)
    assert due(caller, 0.1) == [(B, 0x0B0099)]
    for event in (caller.linked, caller.link_lost, caller.over):
        event("tel:+447700900009")
    assert due(caller, 0.1) == []
    assert not caller.done


def test_calls_take_turns():
    peers = tuple(PeerEntry(identity=f"tel:+33{i:02d}", l2_id=1 + i) for i in range(7))
    caller = Caller(LinkSection(peers=peers, connect_after_s=0.0))
    assert [l2_id for _, l2_id in due(caller, 0.0)] == [1, 2, 3, 4]
    assert due(caller, 0.1) == []
    caller.linked(peers[1].identity)
    caller.call_failed(peers[3].identity, 0.2)
    assert [l2_id for _, l2_id in due(caller, 0.2)] == [5, 6]
    caller.linked(peers[0].identity)
    caller.linked(peers[2].identity)
    assert [l2_id for _, l2_id in due(caller, 0.2 + FIRST_PAUSE_S)] == [4, 7]


def test_done_is_when_every_peer_is(caller):
    met(caller)
    caller.over(B)
    assert not caller.done
    assert due(caller, 1.0) == [(C, L2_C)]
    caller.over(C)
    assert caller.done
    assert Caller(LinkSection()).done


def test_a_number_is_looked_up_before_each_call_and_a_new_holder_is_called_after_a_loss():
    caller = Caller(LinkSection(peers=(PeerEntry(number="+447700900077", l2_id=L2_B),), connect_after_s=0.0))
    leads_to: dict[str, str] = {}
    resolve = leads_to.get
    assert due(caller, 0.0, resolve) == []
    leads_to["+447700900077"] = B
    assert due(caller, 0.5, resolve) == [], "it waits as after a call that failed"
    assert due(caller, FIRST_PAUSE_S, resolve) == [(B, L2_B)]
    caller.linked(B)
    assert due(caller, 50.0, resolve) == []
    caller.link_lost(B)
    leads_to["+447700900077"] = C
    assert due(caller, 50.0, resolve) == [(C, L2_B)]
    caller.linked(C)
    assert not caller.done
    caller.over(C)
    assert caller.done


def test_a_number_whose_holder_has_called_already_is_not_called_besides():
    caller = Caller(LinkSection(peers=(PeerEntry(number="+447700900077", l2_id=L2_B),), connect_after_s=0.0))
    caller.linked(B)
    assert due(caller, 0.0, lambda _number: B) == []
    caller.link_lost(B)
    assert due(caller, 0.0, lambda _number: B) == [(B, L2_B)]
