"""The table of links: who is found, who has room, which KD-sess IDs are drawn; and what a link lets go of."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from prose_link.pc5s.core.fsm import State
from prose_link.pc5s.core.link import (
    MAX_CARRIERS,
    MAX_ESTABLISHED,
    MAX_PROVISIONAL,
    Ending,
    Link,
    LinkKeys,
    LinkTable,
    Setup,
    Terms,
)
from prose_link.pc5s.core.policy import LinkPolicy, Profile
from prose_link.pc5s.core.secret import Secret
from prose_link.pc5s.core.timers import ANSWER_AGAIN_AFTER_S, TimerValues
from prose_link.pc5s.core.transcript import Agreed, Asked
from prose_link.pc5s.core.used_ids import UsedIds
from prose_link.pc5s.wire.messages import ChosenAlgorithms, ReleaseReason
from prose_link.pc5s.wire.party import CarrierTraits, Via
from security.link.key_ladder import SessionKeys

DIRECT = TimerValues().direct
CORE = CarrierTraits(name="core", addresses_count=False, knows_sources=True, repeats_by_itself=True, bears_links=False)
KEYS = SessionKeys(kd_sess=bytes(32), pek=b"p" * 16, pik=b"i" * 16, conf_r=bytes(16), conf_i=bytes(16))


def link_of(
    links: LinkTable,
    peer: str = "bob",
    state: State = State.ESTABLISHED,
    *,
    l2: int = 0xB,
    traits: CarrierTraits = DIRECT,
    initiator: bool = True,
    msb: int = 1,
    request_hash: bytes = b"",
) -> Link:
    link = Link(
        number=links.next_number(),
        initiator=initiator,
        peer=peer,
        peer_l2=l2,
        via=Via(traits=traits, address=l2),
        policy=LinkPolicy(),
        profile=Profile.IDENTITY,
        asked=Asked(
            message=SimpleNamespace(kd_sess_id_msb=msb, capabilities="offered", profile=SimpleNamespace(kdf="kdf")),
            t1=b"",
            signed_part=b"",
            request_hash=request_hash,
        ),
        state=state,
        setup=Setup(),
        terms=Terms(),
        keys=LinkKeys(),
    )
    links.add(link)
    return link


def context(link: Link, kd_sess_id: int) -> None:
    link.make_context(kd_sess_id, ChosenAlgorithms(eea=2, eia=1), Agreed(kd_next=b"", tx=b"", keys=KEYS))


def test_links_are_numbered_and_found_by_number() -> None:
    links = LinkTable()
    one, two = link_of(links), link_of(links)
    assert (one.number, two.number, len(links), list(links)) == (1, 2, 2, [one, two])
    assert links.get(2) is two
    links.remove(one)
    links.remove(one)
    assert links.get(1) is None and list(links) == [two]
    assert links.next_number() == 3


def test_links_are_found_by_what_they_are() -> None:
    links = LinkTable()
    bob = link_of(links, "bob", State.ESTABLISHED, l2=1, request_hash=b"1")
    asking = link_of(links, "carol", State.WAIT_ACCEPT, l2=2, request_hash=b"2")
    released = link_of(links, "dave", State.RELEASING, l2=3, request_hash=b"3")
    context(bob, 0x0101)
    context(released, 0x0101)
    assert links.in_state(State.ESTABLISHED, State.RELEASING) == [bob, released]
    assert links.with_peer("carol", State.WAIT_ACCEPT) is asking
    assert links.with_peer("carol", State.ESTABLISHED) is None and links.with_peer("eve", State.WAIT_ACCEPT) is None
    assert links.of_request(b"3") is released and links.of_request(b"4") is None
    assert links.of_context(3, 0x0101) is released and links.of_context(1, 0x0101) is bob
    assert links.of_context(2, 0x0101) is None and links.of_context(1, 0x0102) is None
    assert links.established_with_l2(1) is bob
    assert links.established_with_l2(3) is None and links.established_with_l2(9) is None


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        (State.ESTABLISHED, True),
        (State.RELEASING, True),
        (State.LINGERING, True),
        (State.PROVISIONAL, True),
        (State.WAIT_ACCEPT, False),
        (State.CONFIRMING, False),
    ],
)
def test_a_layer_2_id_that_somebody_else_has(state: State, seen: bool) -> None:
    links = LinkTable()
    link_of(links, "bob", state, l2=1)
    assert links.peer_with_l2(1, other_than="carol") is seen
    assert not links.peer_with_l2(1, other_than="bob") and not links.peer_with_l2(2, other_than="carol")


@pytest.mark.parametrize(
    "state",
    [
        State.ESTABLISHED,
        State.RELEASING,
        State.LINGERING,
        State.PROVISIONAL,
        State.WAIT_ACCEPT,
        State.CONFIRMING,
    ],
)
def test_so_many_links_and_one_more_with_a_peer_of_theirs(state: State) -> None:
    links = LinkTable()
    for n in range(MAX_ESTABLISHED - 1):
        link_of(links, f"peer {n}", state)
    assert links.has_room("new")
    link_of(links, "last", state)
    assert not links.has_room("new") and links.has_room("last")
    link_of(links, "idle", State.IDLE)
    assert links.has_room("peer 0")


def test_provisional_links_of_all_and_of_carriers_other_than_direct() -> None:
    links = LinkTable()
    direct, core = Via(traits=DIRECT, address=1), Via(traits=CORE, address=1)
    link_of(links, "up", State.ESTABLISHED)
    for n in range(MAX_PROVISIONAL // 2):
        assert links.has_provisional_room("new", core)
        link_of(links, f"core {n}", State.PROVISIONAL, traits=CORE)
    assert not links.has_provisional_room("new", core) and links.has_provisional_room("new", direct)
    assert links.has_provisional_room("core 0", core)
    for n in range(MAX_PROVISIONAL // 2):
        assert links.has_provisional_room("new", direct)
        link_of(links, f"direct {n}", State.PROVISIONAL)
    assert not links.has_provisional_room("new", direct) and links.has_provisional_room("direct 0", direct)
    assert links.has_provisional_room("core 0", core)
    assert not links.has_provisional_room("direct 0", core)


def test_msbs_that_are_drawn_are_free() -> None:
    links = LinkTable()
    assert links.draw_msb(bytes) == 1
    assert links.draw_msb(lambda n: (254).to_bytes(n, "big")) == 255
    assert links.draw_msb(lambda n: (255).to_bytes(n, "big")) == 1
    assert links.draw_msb(bytes, used=[1, 2]) == 3
    context(link_of(links, initiator=False, msb=2), 0x0107)
    assert links.draw_msb(bytes) == 2
    link_of(links, initiator=True, msb=2)
    assert links.draw_msb(bytes) == 3
    rekeying = link_of(links, initiator=False)
    rekeying.rekey.own.asked = Asked(
        message=SimpleNamespace(kd_sess_id_msb=3),
        t1=b"",
        signed_part=b"",
        request_hash=b"",
    )
    assert links.draw_msb(bytes) == 4
    assert links.draw_msb(bytes, used=range(1, 256)) is None


def test_lsbs_that_are_drawn_are_free_with_this_peer_and_were_never_used() -> None:
    links, used = LinkTable(), UsedIds()
    context(link_of(links, l2=1), 0x0700)
    context(link_of(links, l2=2), 0x0701)
    used.add(0x0702)
    draws = {l2: links.draw_lsb(7, l2, used, bytes) for l2 in (1, 2, 3)}
    assert draws == {1: 1, 2: 0, 3: 0}
    assert links.draw_lsb(7, 1, used, lambda n: b"\0\1") == 3
    assert links.draw_lsb(7, 1, used, lambda n: (253).to_bytes(n, "big")) == 255
    for lsb in range(256):
        used.add(0x0700 | lsb)
    assert links.draw_lsb(7, 1, used, bytes) is None
    assert links.draw_lsb(8, 1, used, bytes) == 0


@pytest.mark.parametrize(("initiator", "direction"), [(True, 0), (False, 1)])
def test_a_context_has_the_keys_and_the_direction_of_its_end(initiator: bool, direction: int) -> None:
    link = link_of(LinkTable(), initiator=initiator)
    context(link, 0x0107)
    link.keys.current_id = 0x0107
    made = link.context
    assert (made.kd_sess_id, made.eea, made.eia, made.direction) == (0x0107, 2, 1, direction)
    asked: list[Any] = [link.eea, link.eia, link.capabilities, link.kdf]
    assert asked == [2, 1, "offered", "kdf"]
    assert 0x0107 in link.keys.used_ids
    sn = made.next_sn(1)
    other = link_of(LinkTable(), initiator=not initiator)
    context(other, 0x0107)
    assert other.keys.contexts[0x0107].open(1, sn, b"h", *made.seal(1, sn, b"h", b"data")) == b"data"


def test_a_link_that_is_wiped_holds_no_secret() -> None:
    link = link_of(LinkTable())
    for kd_sess_id in (0x0106, 0x0107):
        context(link, kd_sess_id)
    contexts = list(link.keys.contexts.values())
    link.keys.kd_next, link.setup.ssv, link.rekey.own.ssv = Secret(b"kd"), Secret(b"ssv"), Secret(b"new")
    secrets = (link.keys.kd_next, link.setup.ssv, link.rekey.own.ssv)
    link.setup.answers.keep((b"a", b"b"), b"ssv")
    link.keys.tx = link.keys.expected_conf_i = b"x"
    link.keys.current_id, link.keys.old_id = 0x0107, 0x0106
    link.keys.drop_context(0x0106)
    link.keys.drop_context(0x0999)
    assert contexts[0].wiped and not contexts[1].wiped and list(link.keys.contexts) == [0x0107]
    link.wipe()
    assert contexts[1].wiped and link.keys.contexts == {} and not any(secrets)
    assert link.setup.answers.opened((b"a", b"b")) == b""
    assert (link.keys.tx, link.keys.expected_conf_i, link.keys.current_id, link.keys.old_id) == (b"", b"", 0, 0)


def test_a_peer_whose_layer_2_id_is_not_known_is_a_party_without_one() -> None:
    known, unknown = link_of(LinkTable(), l2=5), link_of(LinkTable(), l2=0)
    assert (known.party.identity, known.party.l2_id, known.party.via) == ("bob", 5, known.via)
    assert unknown.party.l2_id is None
    via = Via(traits=CORE, address="sip:bob")
    assert known.party_by(via).via is via


def test_an_answer_goes_out_again_by_each_carrier_at_most_each_half_second() -> None:
    setup = Setup()
    direct, core = Via(traits=DIRECT, address=1), Via(traits=CORE, address=1)
    assert not setup.take_answer_again(0.0), "the initiator has no answer"
    setup.heard_by = direct
    setup.count_answer(direct, 10.0)
    assert ANSWER_AGAIN_AFTER_S == 0.5
    assert not setup.take_answer_again(10.4)
    assert setup.take_answer_again(10.5) and not setup.take_answer_again(10.9) and setup.take_answer_again(11.0)
    setup.heard_by = core
    assert setup.take_answer_again(11.0) and not setup.take_answer_again(11.1)
    assert setup.longest_t4111_s == max(DIRECT.t4111_s, CORE.t4111_s)


def test_an_answer_goes_by_so_many_carriers_and_no_more() -> None:
    setup = Setup()
    for n in range(MAX_CARRIERS + 1):
        setup.heard_by = Via(traits=replace(CORE, name=f"carrier {n}"), address=1)
        assert setup.take_answer_again(0.0) is (n < MAX_CARRIERS)
    assert len(setup.answered_at_s) == MAX_CARRIERS


@pytest.mark.parametrize("reason", list(ReleaseReason))
def test_an_end_is_wanted_unless_the_link_cannot_go_on(reason: Any) -> None:
    assert Ending(reason=reason).is_wanted is (reason is not ReleaseReason.NO_LONGER_AVAILABLE)
